/** Goes through the whole log for what may go, in small pieces, so that other work comes in between. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { userStreams } from '#projections/accounts/tables.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { BEFORE_FIRST, type EventLog, type LogRecord, type Position } from '#streams/event-log.ts';
import type { Holds } from './holds.ts';
import { type ClassifiedItem, itemsOf, type OwnerOf } from './items.ts';
import { MediaInHeldRooms } from './media-in-rooms.ts';

/** Longest time that is worked at one time. */
const SLICE_MS = 8;
/** Records between two looks at the time. */
const RECORDS_PER_LOOK = 32;

/** Whose a stream of a local user is. */
export function streamOwners(reader: Reader): OwnerOf {
  return (stream) => reader.get(userStreams, [stream]);
}

export interface ScanOptions {
  readonly log: Pick<EventLog, 'readAll' | 'readStream' | 'head'>;
  readonly reader: Reader;
  readonly holds: Pick<Holds, 'standing'>;
  /** Records of the server that name this user are items too. */
  readonly about?: string;
  /** Where to stop, inclusive; default the head. */
  readonly upTo?: Position;
  readonly signal?: AbortSignal;
  /** Told now and then how many records were gone through, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  /** How long others have their turn between two pieces of work; default as long as they have something to do just then. */
  readonly restMs?: number;
}

/** Calls `visit` for each item, in the order of the log, and waits for what it returns. */
export async function scan(
  { log, reader, holds, about, upTo = Number.MAX_SAFE_INTEGER, signal, onProgress, restMs = 0 }: ScanOptions,
  visit: (item: ClassifiedItem, record: LogRecord) => void | Promise<void>,
): Promise<void> {
  const ownerOf = streamOwners(reader);
  const inRooms = new MediaInHeldRooms({ log, reader });
  await inRooms.refresh(holds.standing(), signal);
  let sinceMs = performance.now();
  let looked = 0;
  const tell = (done: number): void => onProgress?.(done, Math.min(log.head(), upTo) + 1);
  for await (const records of log.readAll(BEFORE_FIRST)) {
    tell(records[0]?.position ?? 0);
    for (const record of records) {
      if (record.position > upTo) return;
      for (const item of itemsOf(record, ownerOf, about)) {
        const pending = visit(inRooms.located(item), record);
        if (pending !== undefined) await pending;
      }
      if (++looked % RECORDS_PER_LOOK !== 0 || performance.now() - sinceMs < SLICE_MS) continue;
      tell(record.position + 1);
      await (restMs > 0 ? sleep(restMs) : nextTurn());
      signal?.throwIfAborted();
      sinceMs = performance.now();
    }
    signal?.throwIfAborted();
  }
}
