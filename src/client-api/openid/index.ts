import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { requestOpenIdToken } from './request-token.ts';

/** Proving to other services who one is. */
export const openIdEndpoints: readonly Endpoint<Context>[] = [requestOpenIdToken];
