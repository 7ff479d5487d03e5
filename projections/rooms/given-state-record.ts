/**
 * The `room.state_given` record of a room stream: the state before an event as a peer gave it, by the log positions of its
 * state events, all of them recorded before. A large state takes several records, its parts, and the record of the event
 * follows them.
 */

import { Packr } from 'msgpackr';
import type { LogRecord, Position, RecordDraft } from '#streams/event-log.ts';

export const STATE_GIVEN_KIND = 'room.state_given';
const STATE_GIVEN_RECORD_VERSION = 1;
/** State events named by one record: at most some 5 bytes each, far below what one append may write. */
export const MAX_STATE_EVENTS_PER_RECORD = 50_000;

/** One part of the state before an event. */
export interface GivenState {
  /** Which room, and the event that the state comes before. */
  readonly roomId: string;
  readonly eventId: string;
  /** Number of this part, from 0. */
  readonly part: number;
  /** Ascending. */
  readonly events: readonly Position[];
}

const packr = new Packr({ useRecords: false });

/** The records of a state before an event, in order. */
export function stateGivenRecords(
  newRecordId: () => Uint8Array,
  roomId: string,
  eventId: string,
  events: readonly Position[],
): RecordDraft[] {
  const sorted = [...new Set(events)].sort((a, b) => a - b);
  const records: RecordDraft[] = [];
  for (let at = 0; at < Math.max(sorted.length, 1); at += MAX_STATE_EVENTS_PER_RECORD) {
    const given = { roomId, eventId, part: records.length, events: sorted.slice(at, at + MAX_STATE_EVENTS_PER_RECORD) };
    records.push({
      id: newRecordId(),
      kind: STATE_GIVEN_KIND,
      version: STATE_GIVEN_RECORD_VERSION,
      sections: [packr.pack([roomId, eventId, given.part, differences(given.events)])],
      decoded: given satisfies GivenState,
    });
  }
  return records;
}

/** What a `room.state_given` record says; undefined where its key was destroyed. Throws if it is of an unknown version. */
export function readStateGiven(record: LogRecord): GivenState | undefined {
  if (record.decoded !== undefined) return record.decoded as GivenState;
  if (record.version !== STATE_GIVEN_RECORD_VERSION) {
    throw new RangeError(`room.state_given record version ${record.version} is unknown`);
  }
  const [section] = record.sections;
  if (!section) return undefined;
  const [roomId, eventId, part, steps] = packr.unpack(section) as [string, string, number, number[]];
  let position = 0;
  return { roomId, eventId, part, events: steps.map((step) => (position += step)) };
}

/** Neighbours lie close together, and a small number takes fewer bytes. */
function differences(sorted: readonly number[]): number[] {
  let before = 0;
  return sorted.map((position) => {
    const step = position - before;
    before = position;
    return step;
  });
}
