import { users } from '#projections/accounts/tables.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { roomForgottenRecord } from '#projections/rooms/forgotten-record.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';

export interface ForgetContext {
  readonly commands: StreamCommands;
  readonly reader: Reader;
  readonly newRecordId: () => Uint8Array;
}

/** Takes a room that a local user has left out of their history. */
export async function forget(context: ForgetContext, userId: string, roomId: string): Promise<void> {
  const stream = context.reader.get(users, [userId])?.stream;
  if (stream === undefined) return;
  await context.commands.run(stream, () => ({
    records: [roomForgottenRecord(context.newRecordId(), { userId, roomId })],
    result: undefined,
  }));
}
