/**
 * Which files of other servers stay in the cache because of holds: those that a hold names, or covers by the time at which they came,
 * and those that an event names which a hold covers.
 */
import { PDU_KIND } from '#projections/rooms/pdu-record.ts';
import { mediaKey, mediaNamesIn } from '#src/media/media-names.ts';
import type { CacheHolds, DroppableFile } from '#src/media/remote-media.ts';
import { BEFORE_FIRST, type EventLog, type LogRecord } from '#streams/event-log.ts';
import { onHold, type StandingHold } from './decision/decide.ts';
import type { Holds } from './holds.ts';
import { itemsOf } from './items.ts';
import { Pace } from './named-media.ts';

export interface HeldCacheOptions {
  readonly log: Pick<EventLog, 'readAll'>;
  readonly holds: Pick<Holds, 'standing'>;
}

/** Asks the holds that stand. The whole log is read for it, in small pieces, and only while there are holds. */
export function heldCache({ log, holds }: HeldCacheOptions): CacheHolds {
  return {
    any: () => holds.standing().length > 0,
    held: async (files) => {
      const held = new Set(files.filter((file) => isHeld(file, holds.standing())).map(({ key }) => key));
      const asked = new Set(files.map(({ key }) => key));
      const pace = new Pace();
      for await (const records of log.readAll(BEFORE_FIRST)) {
        for (const record of records) {
          for (const key of namedOnHold(record, holds.standing())) if (asked.has(key)) held.add(key);
          const rest = pace.step();
          if (rest !== undefined) await rest;
        }
        await pace.rest();
      }
      return held;
    },
  };
}

function isHeld({ mediaId, fetchedAtMs: recordedAtMs }: DroppableFile, standing: readonly StandingHold[]): boolean {
  const item = { position: -1, sections: [], class: 'media', userIds: [], recordedAtMs } as const;
  return onHold(mediaId === undefined ? item : { ...item, mediaId }, standing) !== undefined;
}

/** The media that an event names which is on hold. */
function* namedOnHold(record: LogRecord, standing: readonly StandingHold[]): Generator<string> {
  if (record.kind !== PDU_KIND) return;
  for (const item of itemsOf(record, () => undefined)) {
    if (item.names === undefined) continue;
    for (const name of item.sections.flatMap((section) => [...mediaNamesIn(record.sections[section] ?? '')])) {
      if (onHold({ ...item, mediaId: name.mediaId }, standing) !== undefined) yield mediaKey(name);
    }
  }
}
