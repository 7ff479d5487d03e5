/** Requests to verify an address or phone number, on a server that sends neither mail nor text messages. */
import { z } from 'zod';
import { type Endpoint, endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';

const emailSchema = z.looseObject({ client_secret: z.string(), email: z.string(), send_attempt: z.int() });
const msisdnSchema = z.looseObject({
  client_secret: z.string(),
  country: z.string(),
  phone_number: z.string(),
  send_attempt: z.int(),
});

/** For a new account, or another password: the server takes no such address. */
function denied(): MatrixError {
  return new MatrixError('M_THREEPID_DENIED', 'This server sends neither e-mail nor text messages.');
}

/** For an address that is to be added to an account. */
function notSupported(): MatrixError {
  return new MatrixError('M_THREEPID_MEDIUM_NOT_SUPPORTED', 'This server sends neither e-mail nor text messages.');
}

function requestToken<const Path extends string>(
  path: Path,
  body: typeof emailSchema | typeof msisdnSchema,
  refusal: () => MatrixError,
): Endpoint<unknown> {
  return endpoint({
    method: 'POST',
    path,
    auth: 'none',
    rateLimit: 'login',
    body,
    handler: () => {
      throw refusal();
    },
  });
}

/**
 * The `requestToken` endpoints, in pairs for e-mail and phone numbers:
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3registeremailrequesttoken
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpasswordemailrequesttoken
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidemailrequesttoken
 */
export const requestTokenEndpoints: readonly Endpoint<unknown>[] = [
  requestToken('/_matrix/client/v3/register/email/requestToken', emailSchema, denied),
  requestToken('/_matrix/client/v3/register/msisdn/requestToken', msisdnSchema, denied),
  requestToken('/_matrix/client/v3/account/password/email/requestToken', emailSchema, denied),
  requestToken('/_matrix/client/v3/account/password/msisdn/requestToken', msisdnSchema, denied),
  requestToken('/_matrix/client/v3/account/3pid/email/requestToken', emailSchema, notSupported),
  requestToken('/_matrix/client/v3/account/3pid/msisdn/requestToken', msisdnSchema, notSupported),
];
