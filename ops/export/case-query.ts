/** What a case is about: which events of which rooms are exported. Pure. */
import type { Pdu } from '#protocol/pdu.ts';

/** What is asked for. Lists are sorted and without repetition, so that the same question is the same text. */
export interface CaseQuery {
  /** Whose events, and state events about them; empty for everybody's. */
  readonly users: readonly string[];
  /** Which rooms, by room id; empty for all that the users were ever in, or all there are. */
  readonly rooms: readonly string[];
  /** Milliseconds since the epoch by `origin_server_ts`, inclusive; undefined for no bound. */
  readonly fromMs?: number;
  /** The same, exclusive. */
  readonly toMs?: number;
}

/** Why an event is in an export: it was asked for, or it changes or takes away one that was. */
export type Inclusion = 'asked_for' | 'edits' | 'redacts';

/** Why a record of a room in question is not in an export. */
export type LeftOut = 'not_an_event' | 'other_person' | 'other_time' | 'unreadable';

/** What is asked of a record to tell whether it belongs to a case. */
export interface CandidateEvent {
  readonly eventId: string;
  readonly pdu: Pdu;
  /** The event whose content it takes away, where it is a redaction. */
  readonly redacts: string | undefined;
}

/** A query in its one form. */
export function caseQuery({ users, rooms, fromMs, toMs }: CaseQuery): CaseQuery {
  return {
    users: [...new Set(users)].sort(),
    rooms: [...new Set(rooms)].sort(),
    ...(fromMs !== undefined && { fromMs }),
    ...(toMs !== undefined && { toMs }),
  };
}

/** Why an event is not what a query asks for by itself; undefined if it is. */
export function whyNotAskedFor(query: CaseQuery, pdu: Pdu): LeftOut | undefined {
  const { users, fromMs, toMs } = query;
  if (
    users.length > 0 &&
    !users.includes(pdu.sender) &&
    !(pdu.state_key !== undefined && users.includes(pdu.state_key))
  )
    return 'other_person';
  const sentMs = pdu.origin_server_ts;
  if (fromMs !== undefined && sentMs < fromMs) return 'other_time';
  if (toMs !== undefined && sentMs >= toMs) return 'other_time';
  return undefined;
}

/** The event that an edit replaces; undefined for what is no edit. Spec: client-server API, "Event replacements". */
export function editedEventOf(pdu: Pdu): string | undefined {
  const relation = pdu.content['m.relates_to'];
  if (typeof relation !== 'object' || relation === null || Array.isArray(relation)) return undefined;
  const { rel_type, event_id } = relation as { rel_type?: unknown; event_id?: unknown };
  return rel_type === 'm.replace' && typeof event_id === 'string' ? event_id : undefined;
}

/** The event that a redaction names, wherever its room version puts that. */
export function redactedEventOf(pdu: Pdu): string | undefined {
  if (pdu.type !== 'm.room.redaction') return undefined;
  const named = pdu.content['redacts'] ?? (pdu as { readonly redacts?: unknown }).redacts;
  return typeof named === 'string' ? named : undefined;
}

/** What was decided about an event. */
export type Verdict =
  | { readonly kind: 'included'; readonly because: Inclusion }
  /** It may still be: it edits or redacts an event that has not come by. */
  | { readonly kind: 'open'; readonly target: string; readonly otherwise: LeftOut }
  | { readonly kind: 'left_out'; readonly why: LeftOut };

/** Which events were chosen so far: an edit or redaction follows the event that it is of. */
export class Selection {
  readonly #query: CaseQuery;
  readonly #chosen = new Set<string>();

  constructor(query: CaseQuery) {
    this.#query = query;
  }

  /** Decides on an event, and remembers it if it is in. */
  decide({ eventId, pdu, redacts }: CandidateEvent): Verdict {
    const why = whyNotAskedFor(this.#query, pdu);
    if (why === undefined) return this.#include(eventId, 'asked_for');
    const redacted = redacts ?? redactedEventOf(pdu);
    const target = redacted ?? editedEventOf(pdu);
    if (target === undefined) return { kind: 'left_out', why };
    if (this.#chosen.has(target)) return this.#include(eventId, redacted === undefined ? 'edits' : 'redacts');
    return { kind: 'open', target, otherwise: why };
  }

  /** Remembers an event of an earlier run. */
  remember(eventId: string): void {
    this.#chosen.add(eventId);
  }

  has(eventId: string): boolean {
    return this.#chosen.has(eventId);
  }

  #include(eventId: string, because: Inclusion): Verdict {
    this.#chosen.add(eventId);
    return { kind: 'included', because };
  }
}
