/**
 * Adding and removing addresses and phone numbers, on a server that keeps none: the capability `m.3pid_changes` says so. It
 * does not concern those that users have at identity servers.
 */
import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, type MatrixError } from '#src/http/errors.ts';
import { authSchema } from '../accounts/interactive.ts';
import { type BindingContext, bindAddress, unbindAddress } from './bindings.ts';

function notKept(): MatrixError {
  return forbidden('This server keeps no e-mail addresses and phone numbers.');
}

const removedSchema = z.looseObject({ address: z.string(), medium: z.string(), id_server: z.string().optional() });

async function unbound(context: BindingContext, userId: string, body: z.output<typeof removedSchema>): Promise<object> {
  const { medium, address, id_server: idServer } = body;
  return { id_server_unbind_result: await unbindAddress(context, userId, { medium, address, idServer }) };
}

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
  handler: async ({ requester, body }, context: BindingContext) => {
    const { id_server: idServer, id_access_token: idAccessToken, sid, client_secret: clientSecret } = body;
    await bindAddress(context, requester.userId, { idServer, idAccessToken, sid, clientSecret });
    return {};
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
  handler: ({ requester, body }, context: BindingContext) => unbound(context, requester.userId, body),
});

/**
 * `POST /_matrix/client/v3/account/3pid/delete`: removes an address. None is here, but an identity server may know it.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3piddelete
 */
export const delete3pid = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/3pid/delete',
  auth: 'user',
  rateLimit: 'write',
  body: removedSchema,
  handler: ({ requester, body }, context: BindingContext) => unbound(context, requester.userId, body),
});
