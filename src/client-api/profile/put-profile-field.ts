import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { missingParam } from '#src/http/errors.ts';
import { requireSelf } from '../user-stream.ts';
import { checkFieldName, checkFieldOfGuest, valueToStore } from './fields.ts';

/**
 * `PUT /_matrix/client/v3/profile/{userId}/{keyName}`: sets a field of the user's profile. A new display name or avatar is
 * shown in the user's rooms too.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname
 */
export const putProfileField = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/profile/{userId}/{keyName}',
  auth: 'guest',
  rateLimit: 'write',
  body: 'json',
  handler: async ({ params, body, requester }, { profiles }: Pick<Context, 'profiles'>) => {
    const { userId, keyName } = params;
    requireSelf(requester, userId);
    checkFieldName(keyName);
    checkFieldOfGuest(requester, keyName);
    const value = Object.hasOwn(body, keyName) ? body[keyName] : undefined;
    if (value === undefined) throw missingParam(keyName);
    await profiles.set(userId, keyName, valueToStore(keyName, value), { isShown: requester.isShadowBanned !== true });
    return {};
  },
});
