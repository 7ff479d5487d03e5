/**
 * Messages of the server to one of its users. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/server_notices.html
 */
import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint, type Requester } from '#src/http/endpoint.ts';
import { sentBy } from '../rooms/sent-by.ts';
import { jsonObjectSchema, userIdSchema } from '../schemas.ts';
import { targetUser } from './target-user.ts';

const PATH = '/_synapse/admin/v1/send_server_notice';

const body = z.object({
  user_id: userIdSchema,
  content: jsonObjectSchema,
  type: z.string().min(1).default('m.room.message'),
  state_key: z.string().optional(),
});

const audit = {
  action: 'notice.send',
  describe: ({ body: { user_id, type, content } }: { body: z.output<typeof body> }) => ({
    target: { kind: 'user', id: user_id } as const,
    after: { type, content },
  }),
} as const;

/** `POST …/send_server_notice`: sends a message in the user's room of server notices, which is made where there is none. */
export const postServerNotice = endpoint({
  method: 'POST',
  path: PATH,
  auth: 'admin',
  may: 'notices.send',
  rateLimit: 'none',
  body,
  audit,
  handler: ({ body: notice }, context: Context) => send(context, notice, undefined),
});

/** `PUT …/send_server_notice/{txnId}`: the same, once for each transaction id. */
export const putServerNotice = endpoint({
  method: 'PUT',
  path: `${PATH}/{txnId}`,
  auth: 'admin',
  may: 'notices.send',
  rateLimit: 'none',
  body,
  audit,
  handler: ({ params, body: notice, requester }, context: Context) =>
    send(context, notice, { requester, txnId: params.txnId }),
});

async function send(
  context: Context,
  { user_id: userId, content, type, state_key: stateKey }: z.output<typeof body>,
  by: { readonly requester: Requester; readonly txnId: string } | undefined,
): Promise<object> {
  targetUser(context, userId);
  const transaction = by && sentBy(by.requester, by.txnId);
  return { event_id: await context.serverNotices.send(context, userId, { type, stateKey, content, transaction }) };
}
