import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { checkFieldName, isMemberField } from './fields.ts';
import { anyProfile } from './readable-profile.ts';

/**
 * `GET /_matrix/client/v3/profile/{userId}/{keyName}`: one field of a profile. A user without a display name or an avatar
 * gets an empty object for it, as clients know it from before profiles had other fields; any other missing field is
 * `M_NOT_FOUND`.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname
 */
export const getProfileField = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/profile/{userId}/{keyName}',
  auth: 'none',
  rateLimit: 'read',
  handler: async ({ params }, context: Pick<Context, 'reader' | 'serverName' | 'federation'>) => {
    const { userId, keyName } = params;
    checkFieldName(keyName);
    const profile = await anyProfile(context, userId, keyName);
    if (Object.hasOwn(profile, keyName)) return { [keyName]: profile[keyName] };
    if (isMemberField(keyName)) return {};
    throw notFound('The profile has no such field.');
  },
});
