import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getStatus } from './get-status.ts';
import { putStatus } from './put-status.ts';

/** Who is online. */
export const presenceEndpoints: readonly Endpoint<Context>[] = [getStatus, putStatus];
