import { streamOfUser } from '#projections/accounts/queries.ts';
import type { Context } from '#src/context.ts';
import { forbidden, notFound } from '#src/http/errors.ts';
import type { RecordDraft } from '#streams/event-log.ts';

/** What a change of something that belongs to a user needs. */
export type UserStreamContext = Pick<Context, 'commands' | 'reader' | 'newRecordId'>;

/**
 * Appends to the stream of a local user, one command of a user at a time. `decide` looks at the committed projections and
 * gives the records, none if there is nothing to change. Resolves when readers see the change.
 *
 * @throws {MatrixError} `M_NOT_FOUND` if the server has no such user; whatever `decide` throws.
 */
export async function changeUser(
  context: UserStreamContext,
  userId: string,
  decide: () => readonly RecordDraft[],
): Promise<void> {
  const stream = streamOfUser(context.reader, userId);
  if (stream === undefined) throw notFound('There is no such user here.');
  await context.commands.run(stream, () => ({ records: decide(), result: undefined }));
}

/** For the endpoints whose path names the user whose own data it is about. @throws {MatrixError} `M_FORBIDDEN` */
export function requireSelf(requester: { readonly userId: string }, userId: string): void {
  if (requester.userId !== userId) throw forbidden('You can only see and change what is your own.');
}
