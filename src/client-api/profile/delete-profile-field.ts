import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { requireSelf } from '../user-stream.ts';
import { checkFieldName, checkFieldOfGuest } from './fields.ts';

/**
 * `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`: removes a field of the user's profile.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname
 */
export const deleteProfileField = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/profile/{userId}/{keyName}',
  auth: 'guest',
  rateLimit: 'write',
  handler: async ({ params, requester }, { profiles }: Pick<Context, 'profiles'>) => {
    requireSelf(requester, params.userId);
    checkFieldName(params.keyName);
    checkFieldOfGuest(requester, params.keyName);
    await profiles.set(params.userId, params.keyName, undefined, { isShown: requester.isShadowBanned !== true });
    return {};
  },
});
