/**
 * Records of a room stream about a room that the server is in without having been told of all its members yet.
 *
 * - `room.members_awaited` follows the event by which the server came in: which servers are in the room.
 * - `room.event_held`: an event of another server came meanwhile, and is judged when all members are known.
 * - `room.members_told`: they are. The members themselves were taken over before it, see taken-state-record.ts.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, Position, RecordDraft } from '#streams/event-log.ts';

export const MEMBERS_AWAITED_KIND = 'room.members_awaited';
export const EVENT_HELD_KIND = 'room.event_held';
export const MEMBERS_TOLD_KIND = 'room.members_told';
const VERSION = 1;

/** What is known of a room whose members are awaited. */
export interface MembersAwaited {
  readonly roomId: string;
  /** The event by which the server came in. */
  readonly eventId: string;
  /** The server that let it in. */
  readonly via: string;
  /** Those in the room, as that one told. */
  readonly servers: readonly string[];
}

/** An event that waits. It was recorded without a place before, or is in the same append. */
export interface EventHeld {
  readonly roomId: string;
  readonly eventId: string;
}

/** The state before the event by which the server came in is known. */
export interface MembersTold {
  readonly roomId: string;
  /** Positions of those events of that state whose keys had other events by now. */
  readonly replaced: readonly Position[];
  /** That event. */
  readonly entry?: string;
}

const packr = new Packr({ useRecords: false });

function record(id: Uint8Array, kind: string, tuple: readonly unknown[], decoded: unknown): RecordDraft {
  return { id, kind, version: VERSION, sections: [packr.pack(tuple)], decoded };
}

/** What a record's section says; undefined where its key was destroyed. Throws if it is of an unknown version. */
function tupleOf<T>({ kind, version, sections }: LogRecord): T | undefined {
  if (version !== VERSION) throw new RangeError(`${kind} record version ${version} is unknown`);
  const [section] = sections;
  return section ? (packr.unpack(section) as T) : undefined;
}

/** The record that the server is in a room of which it does not know all members. */
export function membersAwaitedRecord(id: Uint8Array, awaited: MembersAwaited): RecordDraft {
  const { roomId, eventId, via, servers } = awaited;
  return record(id, MEMBERS_AWAITED_KIND, [roomId, eventId, via, servers], awaited);
}

/** What a `room.members_awaited` record says; undefined where it was erased. */
export function readMembersAwaited(from: LogRecord): MembersAwaited | undefined {
  if (from.decoded !== undefined) return from.decoded as MembersAwaited;
  const tuple = tupleOf<[string, string, string, string[]]>(from);
  if (tuple === undefined) return undefined;
  const [roomId, eventId, via, servers] = tuple;
  return { roomId, eventId, via, servers };
}

/** The record that an event waits. */
export function eventHeldRecord(id: Uint8Array, held: EventHeld): RecordDraft {
  return record(id, EVENT_HELD_KIND, [held.roomId, held.eventId], held);
}

/** What a `room.event_held` record says; undefined where it was erased. */
export function readEventHeld(from: LogRecord): EventHeld | undefined {
  if (from.decoded !== undefined) return from.decoded as EventHeld;
  const tuple = tupleOf<[string, string]>(from);
  return tuple && { roomId: tuple[0], eventId: tuple[1] };
}

/** The record that all members are known. */
export function membersToldRecord(id: Uint8Array, told: MembersTold): RecordDraft {
  const { roomId, replaced, entry } = told;
  return record(id, MEMBERS_TOLD_KIND, [roomId, replaced, ...(entry === undefined ? [] : [entry])], told);
}

/** What a `room.members_told` record says; undefined where it was erased. */
export function readMembersTold(from: LogRecord): MembersTold | undefined {
  if (from.decoded !== undefined) return from.decoded as MembersTold;
  const tuple = tupleOf<[string, Position[], string?]>(from);
  if (tuple === undefined) return undefined;
  const [roomId, replaced, entry] = tuple;
  return { roomId, replaced, ...(entry !== undefined && { entry }) };
}
