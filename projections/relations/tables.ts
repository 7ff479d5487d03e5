/** The tables of the relations projection. An ordinary message, which relates to nothing, has no row in any of them. */
import { type AnyTable, bytes, defineTable, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';

/** An event that relates to another one. */
export type ChildRow = readonly [type: string, sender: string];

/** What an event relates to, as it was when it came. */
export interface RelatingRow {
  readonly room: number;
  readonly parent: string;
  readonly relType: string;
  readonly depth: number;
  readonly type: string;
  readonly sender: string;
  /** Of a valid replacement: its time, as the order of replacements counts it. */
  readonly replacesAtMs?: number;
  /** Of an annotation: see {@link annotations}. */
  readonly annotation?: Uint8Array;
}

/** A thread. */
export interface ThreadRow {
  /** Events in it, the root not counted. */
  readonly count: number;
  /** Depth and position of the last one in topological order. */
  readonly depth: number;
  readonly position: number;
}

/** Bytes of the hash that stands for the type and key of an annotation. */
export const ANNOTATION_HASH_BYTES = 16;

export const children = defineTable({
  name: 'relations.children',
  key: tuple<[room: number, parent: string, relType: string, depth: number, event: number]>(u48, str, str, u48, u48),
  value: msgpack<ChildRow>(),
  why: 'Relations are asked for by target and kind, in topological order. The target is named by its id: it may come later.',
});

export const relating = defineTable({
  name: 'relations.relating',
  key: tuple<[event: number]>(u48),
  value: msgpack<RelatingRow>(),
  why: 'A redaction takes the relation out of the event; this says which rows were its own.',
});

export const targets = defineTable({
  name: 'relations.targets',
  key: tuple<[event: number]>(u48),
  value: u48,
  why: 'One short look-up by number tells for each event that is served that nothing is to be bundled with it; see `Bundled`.',
});

export const awaited = defineTable({
  name: 'relations.awaited',
  key: tuple<[eventId: string, room: number]>(str, u48),
  value: u48,
  why: 'What would be in `targets` if the event were there: it is moved when it comes. Nearly always empty, so asking costs nothing.',
});

export const replacements = defineTable({
  name: 'relations.replacements',
  key: tuple<[room: number, parent: string, sender: string, type: string, tsMs: number, eventId: string]>(
    u48,
    str,
    str,
    str,
    u48,
    str,
  ),
  value: u48,
  why: 'The latest valid edit is the last row of target, sender and type: those of others are no edits, and are never read.',
});

export const annotations = defineTable({
  name: 'relations.annotations',
  key: tuple<[room: number, parent: string, sender: string, annotation: Uint8Array]>(
    u48,
    str,
    str,
    bytes(ANNOTATION_HASH_BYTES),
  ),
  value: u48,
  why: 'A second reaction with the same type and key is refused; the hash of both is short whatever the key is.',
});

export const threads = defineTable({
  name: 'relations.threads',
  key: tuple<[room: number, root: string]>(u48, str),
  value: msgpack<ThreadRow>(),
  why: 'The summary of a thread goes with its root wherever that is served, so it is not counted each time.',
});

export const threadSenders = defineTable({
  name: 'relations.thread-senders',
  key: tuple<[room: number, root: string, sender: string]>(u48, str, str),
  value: u48,
  why: 'How many events of a thread somebody sent: who takes part in it, and what is left without those whom one ignores.',
});

export const threadOrder = defineTable({
  name: 'relations.thread-order',
  key: tuple<[room: number, depth: number, event: number]>(u48, u48, u48),
  value: str,
  why: 'The threads of a room are listed by their last event; each has one row, which moves.',
});

export const relationTables: readonly AnyTable[] = [
  children,
  relating,
  targets,
  awaited,
  replacements,
  annotations,
  threads,
  threadSenders,
  threadOrder,
];

/** What may be bundled with an event: bits of a row of {@link targets}. */
export const Bundled = { thread: 1, replacement: 2, reference: 4 } as const;
