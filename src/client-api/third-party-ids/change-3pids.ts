/** Adding and removing addresses and phone numbers, on a server that keeps none. The capability `m.3pid_changes` says so. */
import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, type MatrixError } from '#src/http/errors.ts';
import { authSchema } from '../accounts/interactive.ts';

function notKept(): MatrixError {
  return forbidden('This server keeps no e-mail addresses and phone numbers.');
}

const removedSchema = z.looseObject({ address: z.string(), medium: z.string(), id_server: z.string().optional() });

/** No account here is bound to an address, and no identity server is asked to unbind one. */
const NOTHING_UNBOUND = { id_server_unbind_result: 'no-support' } as const;

/**
 * `POST /_matrix/client/v3/account/3pid`: adds an address, the deprecated way.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pid
 */
export const post3pid = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/3pid',
  auth: 'user',
  rateLimit: 'write',
  body: z.looseObject({ three_pid_creds: z.looseObject({}) }),
  handler: () => {
    throw notKept();
  },
});

/**
 * `POST /_matrix/client/v3/account/3pid/add`: adds an address.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidadd
 */
export const add3pid = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/3pid/add',
  auth: 'user',
  rateLimit: 'write',
  body: z.looseObject({ auth: authSchema, client_secret: z.string(), sid: z.string() }),
  handler: () => {
    throw notKept();
  },
});

/**
 * `POST /_matrix/client/v3/account/3pid/bind`: tells an identity server of an address.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidbind
 */
export const bind3pid = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/3pid/bind',
  aliases: ['/_matrix/client/unstable/account/3pid/bind'],
  auth: 'user',
  rateLimit: 'write',
  body: z.looseObject({
    client_secret: z.string(),
    id_access_token: z.string(),
    id_server: z.string(),
    sid: z.string(),
  }),
  handler: () => {
    throw forbidden('This server talks to no identity servers.');
  },
});

/**
 * `POST /_matrix/client/v3/account/3pid/unbind`: has an identity server forget an address.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidunbind
 */
export const unbind3pid = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/3pid/unbind',
  aliases: ['/_matrix/client/unstable/account/3pid/unbind'],
  auth: 'user',
  rateLimit: 'write',
  body: removedSchema,
  handler: () => NOTHING_UNBOUND,
});

/**
 * `POST /_matrix/client/v3/account/3pid/delete`: removes an address.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3piddelete
 */
export const delete3pid = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/3pid/delete',
  auth: 'user',
  rateLimit: 'write',
  body: removedSchema,
  handler: () => NOTHING_UNBOUND,
});
