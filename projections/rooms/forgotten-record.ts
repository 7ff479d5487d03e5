import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';

export const ROOM_FORGOTTEN_KIND = 'room.forgotten';
const VERSION = 1;
const packr = new Packr({ useRecords: false });

/** That a user took a room that they left out of their history. */
export interface RoomForgotten {
  readonly userId: string;
  readonly roomId: string;
}

/** The `room.forgotten` record of a user stream: one section, msgpack `[userId, roomId]`. */
export function roomForgottenRecord(id: Uint8Array, { userId, roomId }: RoomForgotten): RecordDraft {
  return { id, kind: ROOM_FORGOTTEN_KIND, version: VERSION, sections: [packr.pack([userId, roomId])] };
}

/** What a `room.forgotten` record says; undefined where its key was destroyed. */
export function readRoomForgotten(record: LogRecord): RoomForgotten | undefined {
  const section = record.sections[0];
  if (!section) return undefined;
  const [userId, roomId] = packr.unpack(section) as [string, string];
  return { userId, roomId };
}
