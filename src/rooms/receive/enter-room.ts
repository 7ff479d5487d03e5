/** The event by which this server comes into a room, with the state that another one tells of it. */
import type { Reader } from '#projections/engine/reader.ts';
import { dispositionRecord } from '#projections/rooms/disposition-record.ts';
import { hasPlace, knownEvent } from '#projections/rooms/known-events.ts';
import { membersAwaitedRecord } from '#projections/rooms/partial-records.ts';
import { stateTakenRecord, type TakenState } from '#projections/rooms/taken-state-record.ts';
import type { StateMap } from '#src/sync/room-state.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { Rooms } from '../rooms.ts';
import { momentOf } from './moment.ts';
import { recordOf } from './record.ts';
import { partsToTake } from './state-taking.ts';
import { judge, STEPS_OF_HISTORY } from './steps.ts';
import type { Receipt, Verdict } from './types.ts';
import { retry, verdictOn } from './verdicts.ts';

/** What another server tells of a room as it lets a user in. */
export interface Entry {
  /** The state before the event, as far as it was told. */
  readonly state: StateMap;
  /** That server. */
  readonly via: string;
  /** Whether a user is one of this server. */
  readonly isOurs: (userId: string) => boolean;
  /** Those in the room, where the state was told without its members. */
  readonly servers: readonly string[] | undefined;
}

/**
 * Judges the event, takes the state over in parts, and records the event behind it: what is seen of the room begins there.
 *
 * @returns undefined if the server has come into the room meanwhile, which does not begin a second time.
 */
export function enterRoom(
  { rooms, reader }: { readonly rooms: Rooms; readonly reader: Reader },
  receipt: Receipt,
  { state, via, isOurs, servers }: Entry,
): Promise<Verdict | undefined> {
  const { room, eventId } = receipt;
  const { roomId } = room;
  return rooms.alone(room, async (turn) => {
    if (rooms.isResident(roomId)) return undefined;
    const known = knownEvent(reader, eventId);
    if (known !== undefined && hasPlace(known) && known.disposition !== 'rejected') return verdictOn(known);
    const moment = momentOf(reader, receipt);
    if (moment?.createEvent === undefined) return retry('auth_events_known', 'Nothing is known of its room.');
    const judged = judge(receipt, moment, STEPS_OF_HISTORY);
    if (judged.kind !== 'accept') return judged;
    const recordsOf = (parts: readonly TakenState[]): RecordDraft[] =>
      parts.map((part) => stateTakenRecord(rooms.newRecordId(), part));
    const { others, ours } = await partsToTake(reader, roomId, state, isOurs);
    for (const part of others) await turn.append(recordsOf([part]));
    const meta = { disposition: 'accepted', startsAnew: true } as const;
    const entry =
      known === undefined
        ? recordOf(rooms, receipt, meta)
        : dispositionRecord(rooms.newRecordId(), { eventId, ...meta });
    const awaited = servers && membersAwaitedRecord(rooms.newRecordId(), { roomId, eventId, via, servers });
    await turn.append([...recordsOf(ours), entry, ...(awaited === undefined ? [] : [awaited])]);
    return judged;
  });
}
