/** The records of the stream `server-directory`: aliases, which rooms are listed, and which are blocked. One section each, msgpack. */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';

export const DIRECTORY_STREAM = 'server-directory';

/** That something about the directory changed. */
export type DirectoryChange =
  | { readonly kind: 'alias.added'; readonly alias: string; readonly roomId: string; readonly creator: string }
  | { readonly kind: 'alias.removed'; readonly alias: string }
  | { readonly kind: 'room.listed'; readonly roomId: string; readonly isListed: boolean }
  /** `by` is the administrator's user id. */
  | { readonly kind: 'room.block_changed'; readonly roomId: string; readonly isBlocked: boolean; readonly by: string };

const VERSION = 1;
const packr = new Packr({ useRecords: false });

/** The record of a change. */
export function directoryRecord(id: Uint8Array, change: DirectoryChange): RecordDraft {
  return { id, kind: change.kind, version: VERSION, sections: [packr.pack(partsOf(change))] };
}

function partsOf(change: DirectoryChange): unknown[] {
  switch (change.kind) {
    case 'alias.added':
      return [change.alias, change.roomId, change.creator];
    case 'alias.removed':
      return [change.alias];
    case 'room.listed':
      return [change.roomId, change.isListed];
    case 'room.block_changed':
      return [change.roomId, change.isBlocked, change.by];
  }
}

/** What a record says of the directory; undefined for a record of another kind, or whose key was destroyed. */
export function readDirectoryRecord({ kind, sections }: LogRecord): DirectoryChange | undefined {
  const section = sections[0];
  if (!section) return undefined;
  switch (kind) {
    case 'alias.added': {
      const [alias, roomId, creator] = packr.unpack(section) as [string, string, string];
      return { kind, alias, roomId, creator };
    }
    case 'alias.removed': {
      const [alias] = packr.unpack(section) as [string];
      return { kind, alias };
    }
    case 'room.listed': {
      const [roomId, isListed] = packr.unpack(section) as [string, boolean];
      return { kind, roomId, isListed };
    }
    case 'room.block_changed': {
      const [roomId, isBlocked, by] = packr.unpack(section) as [string, boolean, string];
      return { kind, roomId, isBlocked, by };
    }
    default:
      return undefined;
  }
}
