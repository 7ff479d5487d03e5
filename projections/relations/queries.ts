/** What the relations projection can be asked. All of it reads the committed frontier of the given reader, synchronously. */
import type { Reader } from '#projections/engine/reader.ts';
import type { RangeOptions } from '#projections/engine/table.ts';
import type { Event, TopologicalPlace } from '#projections/rooms/queries.ts';
import type { Position } from '#streams/event-log.ts';
import { annotationHash } from './projection.ts';
import {
  annotations,
  type ChildRow,
  children,
  replacements,
  type ThreadRow,
  targets,
  threadOrder,
  threadSenders,
  threads,
} from './tables.ts';

/** Kinds of relations of one event that are looked at where all are asked for; those whose names come first. */
const MAX_REL_TYPES = 128;

/** An event that relates to another one. */
export interface Child extends TopologicalPlace {
  readonly relType: string;
  readonly type: string;
  readonly sender: string;
}

/** Which children are asked for, and in which order. */
export interface ChildrenQuery {
  /** Default: every kind. */
  readonly relType?: string | undefined;
  /** The place to begin at, in topological order; default the end from which `direction` leads away. */
  readonly from?: TopologicalPlace | undefined;
  readonly direction: 'f' | 'b';
}

/** What may be bundled with an event: bits of `Bundled`; 0 for nearly every event. */
export function bundledBitsOf(reader: Reader, event: Position): number {
  return reader.get(targets, [event]) ?? 0;
}

/** The events that relate to one, in topological order. */
export function childrenOf(reader: Reader, room: Position, parent: string, query: ChildrenQuery): Generator<Child> {
  const { relType, ...rest } = query;
  if (relType !== undefined) return childrenOfType(reader, room, parent, relType, rest);
  const iterators = relTypesOf(reader, room, parent).map((one) => childrenOfType(reader, room, parent, one, rest));
  return merged(iterators, query.direction);
}

function* childrenOfType(
  reader: Reader,
  room: Position,
  parent: string,
  relType: string,
  { from, direction }: Omit<ChildrenQuery, 'relType'>,
): Generator<Child> {
  const at = from && ([room, parent, relType, from.depth, from.position] as const);
  const bounds: RangeOptions<readonly [number, string, string, number, number]> =
    direction === 'b' ? { ...(at && { lte: at }), reverse: true } : { ...(at && { gt: at }) };
  for (const { key, value } of reader.range(children, { prefix: [room, parent, relType], ...bounds })) {
    yield childOf(relType, key[3], key[4], value);
  }
}

function childOf(relType: string, depth: number, position: Position, [type, sender]: ChildRow): Child {
  return { relType, depth, position, type, sender };
}

/** The kinds of relations that others have to an event, in order of name. */
function relTypesOf(reader: Reader, room: Position, parent: string): string[] {
  const found: string[] = [];
  let after: RangeOptions<readonly [number, string, string, number, number]> = {};
  while (found.length < MAX_REL_TYPES) {
    let next: string | undefined;
    for (const key of reader.keys(children, { prefix: [room, parent], ...after, limit: 1 })) next = key[2];
    if (next === undefined) break;
    found.push(next);
    after = { gt: [room, parent, next] };
  }
  return found;
}

/** Several lists of children that are each in order, as one. */
function* merged(iterators: readonly Generator<Child>[], direction: 'f' | 'b'): Generator<Child> {
  const heads = iterators.map((iterator) => iterator.next());
  for (;;) {
    let best: number | undefined;
    for (const [index, head] of heads.entries()) {
      if (head.done === true) continue;
      const leader = best === undefined ? undefined : heads[best];
      if (leader === undefined || leader.done === true || isBefore(head.value, leader.value, direction)) best = index;
    }
    const head = best === undefined ? undefined : heads[best];
    if (best === undefined || head === undefined || head.done === true) return;
    yield head.value;
    heads[best] = (iterators[best] as Generator<Child>).next();
  }
}

function isBefore(a: TopologicalPlace, b: TopologicalPlace, direction: 'f' | 'b'): boolean {
  const isEarlier = a.depth < b.depth || (a.depth === b.depth && a.position < b.position);
  return direction === 'f' ? isEarlier : !isEarlier;
}

/** Positions of the events that validly replace one, the one that counts as the latest first. */
export function* replacementsOf(reader: Reader, event: Event): Generator<Position> {
  // Source: "Validity of replacement events": no state events, no edits of edits, same sender and type, original not redacted.
  if (event.stateKey !== undefined || event.redactedBy !== undefined || event.relation?.type === 'm.replace') return;
  const prefix = [event.room, event.eventId, event.sender, event.type] as const;
  for (const { value } of reader.range(replacements, { prefix, reverse: true })) yield value;
}

/** The thread that begins at an event, if others are in it. */
export function threadOf(reader: Reader, room: Position, root: string): ThreadRow | undefined {
  return reader.get(threads, [room, root]);
}

/** How many events of a thread somebody sent, the root not counted. */
export function sentInThread(reader: Reader, room: Position, root: string, userId: string): number {
  return reader.get(threadSenders, [room, root, userId]) ?? 0;
}

/** Who sent how many events of a thread, the root not counted. */
export function* threadSendersOf(
  reader: Reader,
  room: Position,
  root: string,
): Generator<{ readonly userId: string; readonly count: number }> {
  for (const { key, value } of reader.range(threadSenders, { prefix: [room, root] }))
    yield { userId: key[2], count: value };
}

/** The threads of a room by their last event, backwards from a place: the ids of their roots, and where those events are. */
export function* threadsBackwards(
  reader: Reader,
  room: Position,
  from: TopologicalPlace,
): Generator<TopologicalPlace & { readonly root: string }> {
  const options = { prefix: [room], lte: [room, from.depth, from.position], reverse: true } as const;
  for (const { key, value } of reader.range(threadOrder, options)) {
    yield { depth: key[1], position: key[2], root: value };
  }
}

/** The annotation with this type and key that somebody has made of an event, if it was not redacted. */
export function annotationBy(
  reader: Reader,
  room: Position,
  parent: string,
  sender: string,
  annotation: { readonly type: string; readonly key: string },
): Position | undefined {
  return reader.get(annotations, [room, parent, sender, annotationHash(annotation.type, annotation.key)]);
}
