/** Which state events of a room a sync sends. Long states are read in slices; versions of the past do not change meanwhile. */
import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt, stateEventPosition } from '#projections/rooms/queries.ts';
import { changesByVersion, keyOfChange, MAIN_LINE, NO_EVENT } from '#projections/rooms/state/index.ts';
import { state } from '#projections/rooms/tables.ts';
import type { Position } from '#streams/event-log.ts';
import type { Pacer } from './pacer.ts';

const MEMBER = 'm.room.member';
/** Rows that are read at a time. */
const SLICE_ROWS = 512;

/** Where a room's state is read. */
export interface StateSource {
  readonly reader: Reader;
  readonly room: Position;
  readonly pacer: Pacer;
}

/** Positions of state events by their key, see {@link stateKeyOf}. */
export type StateMap = Map<string, Position>;

/** Names a key of the state: type and state key, kept apart whatever characters are in them. */
export function stateKeyOf(type: string, stateKey: string): string {
  return `${type.length}:${type}${stateKey}`;
}

/** What keys of member events begin with. */
export const MEMBER_KEY = stateKeyOf(MEMBER, '');

/** The whole state at a version; without the members where those are sent lazily. */
export async function stateAtVersion(source: StateSource, version: number, withMembers: boolean): Promise<StateMap> {
  const found: StateMap = new Map();
  if (withMembers) {
    await collectState(source, version, { prefix: [source.room] }, found);
  } else {
    await collectState(source, version, { prefix: [source.room], lt: [source.room, MEMBER] }, found);
    await collectState(source, version, { prefix: [source.room], gt: [source.room, MEMBER] }, found);
  }
  return found;
}

/** The member events of a version. */
export function membersAtVersion(source: StateSource, version: number): Promise<StateMap> {
  return typeAtVersion(source, MEMBER, version);
}

/** The events of one type of a version. */
export async function typeAtVersion(source: StateSource, type: string, version: number): Promise<StateMap> {
  const found: StateMap = new Map();
  await collectState(source, version, { prefix: [source.room, type] }, found);
  return found;
}

type StateKey = readonly [room: Position, type: string, stateKey: string, version: number];

interface StateRange {
  readonly prefix: readonly [Position] | readonly [Position, string];
  readonly lt?: readonly [Position, string];
  readonly gt?: readonly [Position, string] | StateKey;
}

async function collectState(
  { reader, pacer }: StateSource,
  version: number,
  bounds: StateRange,
  found: StateMap,
): Promise<void> {
  let from = bounds;
  for (;;) {
    let last: StateKey | undefined;
    let rows = 0;
    for (const { key, value } of reader.range(state, { ...from, limit: SLICE_ROWS })) {
      rows += 1;
      last = key;
      if (key[3] > version) continue;
      if (value === NO_EVENT) found.delete(stateKeyOf(key[1], key[2]));
      else found.set(stateKeyOf(key[1], key[2]), value);
    }
    if (last === undefined || rows < SLICE_ROWS) return;
    from = { ...bounds, gt: last };
    if (pacer.isDue) await pacer.pause();
  }
}

/**
 * What came into the state after one version, up to another, and still stands: the last event of each key. What forks took away
 * again, when they met, is not in it.
 */
export async function stateDelta(source: StateSource, after: number, upTo: number): Promise<StateMap> {
  const { reader, room, pacer } = source;
  const found: StateMap = new Map();
  for (let from = after; from < upTo; from += SLICE_ROWS) {
    for (const change of changesByVersion(reader, room, MAIN_LINE, from, Math.min(from + SLICE_ROWS, upTo))) {
      const changed = keyOfChange(reader, room, MAIN_LINE, change);
      if (changed === undefined) continue;
      const key = stateKeyOf(changed.type, changed.stateKey);
      if (change.event === NO_EVENT) found.delete(key);
      else found.set(key, change.event);
    }
    if (pacer.isDue) await pacer.pause();
  }
  return found;
}

/** Adds the member events of some users at a version, where they have one. */
export function addMembers(source: StateSource, version: number, userIds: Iterable<string>, to: StateMap): void {
  for (const userId of userIds) {
    const position = stateEventPosition(source.reader, source.room, MEMBER, userId, version);
    if (position !== undefined) to.set(stateKeyOf(MEMBER, userId), position);
  }
}

/** The events of a state, those that a filter lets through, in the order in which they happened. */
export async function stateEvents(
  { reader, pacer }: Pick<StateSource, 'reader' | 'pacer'>,
  positions: Iterable<Position>,
  accepts: (event: Event) => boolean,
): Promise<Event[]> {
  const events: Event[] = [];
  let count = 0;
  for (const position of [...positions].sort((a, b) => a - b)) {
    const event = eventAt(reader, position);
    if (event !== undefined && accepts(event)) events.push(event);
    if (++count % SLICE_ROWS === 0 && pacer.isDue) await pacer.pause();
  }
  return events;
}
