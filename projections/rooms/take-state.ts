/** The state that the server takes over when it comes into a room: part by part, ahead of the event by which it comes in. */
import type { Reader, Writer } from '#projections/engine/reader.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { addCounts, changeCurrentState } from './current-state.ts';
import { knownEventAt } from './known-events.ts';
import type { StateChange } from './state/index.ts';
import { heads, type RoomHeadRow, roomIds, type TakenStateRow, takenStates } from './tables.ts';
import { readStateTaken } from './taken-state-record.ts';

/** What the head of a room says before its first event. */
const EMPTY_HEAD: Omit<RoomHeadRow, 'revision'> = {
  depth: 0,
  extremities: [],
  stateVersion: 0,
  latest: -1,
  joined: 0,
  invited: 0,
};

/** Applies a `room.state_taken` record. A room that the server never was in has no head until it is in. */
export function applyStateTaken(tx: Writer, record: LogRecord): void {
  const taken = readStateTaken(record);
  const room = taken && tx.get(roomIds, [taken.roomId]);
  if (taken === undefined || room === undefined) return;
  const before = headBefore(tx, room);
  const changes: StateChange[] = [
    ...taken.removed.map((key) => ({ ...key, event: undefined })),
    ...taken.events.flatMap((event) => changeOf(tx, room, event) ?? []),
  ];
  const { joined, invited } = addCounts(
    before,
    changeCurrentState(tx, room, before.stateVersion, changes, record.position),
  );
  const after: TakenStateRow = { stateVersion: before.stateVersion + changes.length, joined, invited };
  const head = tx.get(heads, [room]);
  if (head === undefined) tx.put(takenStates, [room], after);
  else tx.put(heads, [room], { ...head, ...after, revision: record.revision });
}

/** Where a room stands before an event of it; what was taken over of a room that has no head yet counts. */
export function headBefore(tx: Reader, room: Position): Omit<RoomHeadRow, 'revision'> {
  return tx.get(heads, [room]) ?? { ...EMPTY_HEAD, ...tx.get(takenStates, [room]) };
}

function changeOf(tx: Reader, room: Position, event: Position): StateChange | undefined {
  const row = knownEventAt(tx, event)?.row;
  return row?.stateKey === undefined || row.room !== room
    ? undefined
    : { type: row.type, stateKey: row.stateKey, event };
}
