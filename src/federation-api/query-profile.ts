import { z } from 'zod';
import { serverNameOf } from '#protocol/identifiers.ts';
import { checkFieldName, isMemberField } from '#src/client-api/profile/fields.ts';
import { readableProfile } from '#src/client-api/profile/readable-profile.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';

/**
 * `GET /_matrix/federation/v1/query/profile`: what a user of this server says of themselves, or one field of it.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile
 */
export const queryProfile = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/query/profile',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ user_id: queryText(), field: queryText().optional() }),
  handler: ({ query }, context: Pick<Context, 'reader' | 'serverName'>) => {
    const { user_id: userId, field } = query;
    if (serverNameOf(userId) !== context.serverName) throw invalidParam('That user is not one of this server.');
    const profile = readableProfile(context, userId);
    if (field === undefined) return profile;
    checkFieldName(field);
    if (Object.hasOwn(profile, field)) return { [field]: profile[field] };
    // A user has these two, set or not.
    if (isMemberField(field)) return {};
    throw notFound('The profile has no such field.');
  },
});
