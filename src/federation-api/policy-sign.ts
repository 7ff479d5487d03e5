import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { POLICY_KEY_ID } from '#src/rooms/policy.ts';

/** An event of the largest size, and as much again for how it may be written. */
const MAX_BODY_BYTES = 128 * 1024;

/**
 * `POST /_matrix/policy/v1/sign`: a server that is in a room with this one as its policy server wants an event signed. Only there
 * where this server is a policy server.
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixpolicyv1sign
 */
export const policySign = endpoint({
  method: 'POST',
  path: '/_matrix/policy/v1/sign',
  auth: 'server',
  rateLimit: 'federation',
  body: 'json',
  bodyLimitBytes: MAX_BODY_BYTES,
  handler: async (
    { body, requester },
    { policyService, serverName }: Pick<Context, 'policyService' | 'serverName'>,
  ) => {
    if (policyService === undefined) throw new MatrixError('M_UNRECOGNIZED', 'This server is no policy server.');
    return { [serverName]: { [POLICY_KEY_ID]: await policyService.sign(requester.origin, body) } };
  },
});
