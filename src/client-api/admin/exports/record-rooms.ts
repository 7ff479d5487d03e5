import type { NewAuditEntry } from '#src/audit/audit.ts';
import type { Context } from '#src/context.ts';

/** Rooms that are put on record together. */
const ROOMS_A_TIME = 1_000;

/** Puts an entry on record for each room that somebody is to be shown, so that it is found by the room. */
export async function recordRooms(
  { audit }: Pick<Context, 'audit'>,
  roomIds: readonly string[],
  entry: Omit<NewAuditEntry, 'target' | 'roomId'>,
): Promise<void> {
  for (let from = 0; from < roomIds.length; from += ROOMS_A_TIME) {
    const some = roomIds.slice(from, from + ROOMS_A_TIME);
    await Promise.all(some.map((id) => audit.record({ ...entry, target: { kind: 'room', id }, roomId: id })));
  }
}
