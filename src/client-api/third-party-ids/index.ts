import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { add3pid, bind3pid, delete3pid, post3pid, unbind3pid } from './change-3pids.ts';
import { get3pids } from './get-3pids.ts';
import { requestTokenEndpoints } from './request-tokens.ts';

/** E-mail addresses and phone numbers, as a server without them answers, and those of users at identity servers. */
export const thirdPartyIdEndpoints: readonly Endpoint<Context>[] = [
  get3pids,
  post3pid,
  add3pid,
  bind3pid,
  unbind3pid,
  delete3pid,
  ...requestTokenEndpoints,
];
