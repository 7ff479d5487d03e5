import { z } from 'zod';
import { isUserId, serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { makeReport } from './make-report.ts';

/**
 * `POST /_matrix/client/v3/users/{userId}/report`: reports a user, whether or not one shares a room with them.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3usersuseridreport
 */
export const reportUser = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/users/{userId}/report',
  aliases: ['/_matrix/client/unstable/org.matrix.msc4260/users/{userId}/report'],
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ reason: z.string() }),
  handler: async ({ params: { userId }, body, requester }, context: Context) => {
    if (!isUserId(userId)) throw invalidParam('This is not a user id.');
    // Of users elsewhere this server knows only those who came by; what is said of others is worth knowing too.
    const isHere = serverNameOf(userId) === context.serverName;
    if (isHere && context.accounts.find(userId) === undefined) throw notFound('There is no such user here.');
    await makeReport(context, { reporter: requester.userId, target: { kind: 'user', userId }, reason: body.reason });
    return {};
  },
});
