import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { turnServer } from './turn-server.ts';

/** What calls need of the server. */
export const voipEndpoints: readonly Endpoint<Context>[] = [turnServer];
