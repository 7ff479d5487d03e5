import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getPushers } from './get-pushers.ts';
import { setPusher } from './set-pusher.ts';

/** Where notifications go. */
export const pusherEndpoints: readonly Endpoint<Context>[] = [getPushers, setPusher];
