/**
 * The `room.state_taken` record of a room stream: a part of the state that the server takes over when it comes into a room, as what
 * it changes of the state that was known of the room before. A large state takes several; the event by which the server comes in
 * follows the last. Each is applied by itself, so that none takes long.
 */

import { Packr } from 'msgpackr';
import type { LogRecord, Position, RecordDraft } from '#streams/event-log.ts';
import type { StateKey } from './state/index.ts';

export const STATE_TAKEN_KIND = 'room.state_taken';
const STATE_TAKEN_RECORD_VERSION = 1;

/** A part of what the server takes over. */
export interface TakenState {
  readonly roomId: string;
  /** Positions of the events that are in it, each of a key of its own. */
  readonly events: readonly Position[];
  /** Keys that have no event in it. */
  readonly removed: readonly StateKey[];
}

const packr = new Packr({ useRecords: false });

/** The record of a part. */
export function stateTakenRecord(id: Uint8Array, taken: TakenState): RecordDraft {
  const { roomId, events, removed } = taken;
  return {
    id,
    kind: STATE_TAKEN_KIND,
    version: STATE_TAKEN_RECORD_VERSION,
    sections: [packr.pack([roomId, events, removed.map(({ type, stateKey }) => [type, stateKey])])],
    decoded: taken,
  };
}

/** What a `room.state_taken` record says; undefined where its key was destroyed. Throws if it is of an unknown version. */
export function readStateTaken(record: LogRecord): TakenState | undefined {
  if (record.decoded !== undefined) return record.decoded as TakenState;
  if (record.version !== STATE_TAKEN_RECORD_VERSION) {
    throw new RangeError(`room.state_taken record version ${record.version} is unknown`);
  }
  const [section] = record.sections;
  if (!section) return undefined;
  const [roomId, events, removed] = packr.unpack(section) as [string, Position[], [string, string][]];
  return { roomId, events, removed: removed.map(([type, stateKey]) => ({ type, stateKey })) };
}
