/** What other servers may read of the past of a room. */
import { isErasedUser } from '#projections/accounts/queries.ts';
import { contentOf } from '#projections/rooms/event-content.ts';
import { stateBefore } from '#projections/rooms/event-row.ts';
import { type KnownEvent, knownEvent, knownEventAt } from '#projections/rooms/known-events.ts';
import { memberIdsAfter, type Room } from '#projections/rooms/queries.ts';
import { type StateRef, stateEventAt } from '#projections/rooms/state/index.ts';
import { prevEventIdsOf } from '#protocol/event-references.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';
import { type PduSource, pduOf } from '../pdus.ts';

/** Events that one walk into the past looks at, however few of them are given. */
const MAX_EVENTS_WALKED = 1000;
/** Most events that a walk to some earlier ones begins with: no more than an honest server has ends of a room. */
const MAX_LATEST = 100;
/** Members of a room that are looked at in one go for those of a server. */
const MEMBERS_PAGE = 1000;
/** Members of a server that are asked whether they could see an event. */
const MAX_MEMBERS_ASKED = 1000;

/** A reader of a room's past on behalf of another server. Made for one request. */
export class HistoryReader {
  readonly #source: PduSource;
  readonly #room: Room;
  readonly #rules: RoomVersionRules | undefined;
  readonly #origin: string;
  #members: Promise<readonly string[]> | undefined;

  constructor(source: PduSource, room: Room, origin: string) {
    this.#source = source;
    this.#room = room;
    this.#rules = roomVersionRules(room.version);
    this.#origin = origin;
  }

  /**
   * An event as the other server may see it: as redaction leaves it where no user of that server could see it.
   * Source: server-server API, "Backfilling and retrieving missing events"; the servers of the network do the same.
   */
  async pdu(event: KnownEvent): Promise<Pdu | undefined> {
    const pdu = await pduOf(this.#source, event);
    if (pdu === undefined || this.#rules === undefined) return pdu;
    if (await this.mayRead(event)) return pdu;
    return redact(pdu, this.#rules);
  }

  /** Whether the other server may know all of an event. */
  async mayRead(event: KnownEvent): Promise<boolean> {
    return !this.#isErased(event) && (await this.#canSee(event));
  }

  /**
   * Events and those that come before them, the deepest first.
   *
   * @param from ids of the events to begin with; they are given too.
   */
  async backwards(from: readonly string[], limit: number): Promise<Pdu[]> {
    const found: Pdu[] = [];
    const seen = new Set<string>(from);
    let pending = from.flatMap((eventId) => this.#shown(eventId) ?? []);
    for (let walked = 0; pending.length > 0 && found.length < limit && walked < MAX_EVENTS_WALKED; walked += 1) {
      const next = pending.reduce((deepest, event) => (isDeeper(event, deepest) ? event : deepest));
      pending = pending.filter((event) => event !== next);
      const pdu = await this.pdu(next);
      if (pdu === undefined) continue;
      found.push(pdu);
      for (const eventId of this.#prevOf(pdu)) {
        if (seen.has(eventId)) continue;
        seen.add(eventId);
        const event = this.#shown(eventId);
        if (event !== undefined) pending.push(event);
      }
    }
    return found;
  }

  /** Events between some that are known and some later ones, those left out, the oldest first. */
  async between(
    earliest: readonly string[],
    latest: readonly string[],
    limit: number,
    minDepth: number,
  ): Promise<Pdu[]> {
    const found: Pdu[] = [];
    const known = new Set(earliest);
    const pending = latest.slice(0, MAX_LATEST);
    const begins = new Set(pending);
    const seen = new Set(begins);
    for (let at = 0; at < pending.length && found.length < limit && at < MAX_EVENTS_WALKED; at += 1) {
      const eventId = pending[at] ?? '';
      const event = this.#shown(eventId);
      const isBegin = begins.has(eventId);
      // Before what costs more: whether the other server could see it.
      if (event === undefined || (!isBegin && event.row.depth < minDepth)) continue;
      const pdu = isBegin ? await pduOf(this.#source, event) : await this.pdu(event);
      if (pdu === undefined) continue;
      if (!isBegin) found.push(pdu);
      for (const before of this.#prevOf(pdu)) {
        if (seen.has(before) || known.has(before)) continue;
        seen.add(before);
        pending.push(before);
      }
    }
    return found.reverse();
  }

  #prevOf(pdu: Pdu): readonly string[] {
    return this.#rules === undefined ? [] : prevEventIdsOf(pdu, this.#rules);
  }

  #shown(eventId: string): KnownEvent | undefined {
    const event = knownEvent(this.#source.reader, eventId);
    return event?.row.room === this.#room.id && event.disposition === 'accepted' ? event : undefined;
  }

  /** What erased users said is told to no other server any more. */
  #isErased({ row }: KnownEvent): boolean {
    return row.stateKey === undefined && isErasedUser(this.#source.reader, row.sender);
  }

  async #canSee({ row }: KnownEvent): Promise<boolean> {
    const state = stateBefore(row);
    const visibility = this.#contentIn(state, 'm.room.history_visibility', '')?.history_visibility;
    if (visibility !== 'invited' && visibility !== 'joined') return true;
    if (row.type === 'm.room.member' && row.stateKey?.endsWith(`:${this.#origin}`)) return true;
    this.#members ??= this.#findMembers();
    for (const userId of await this.#members) {
      const membership = this.#contentIn(state, 'm.room.member', userId)?.membership;
      if (membership === 'join' || (visibility === 'invited' && membership === 'invite')) return true;
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    return false;
  }

  #contentIn(state: StateRef, type: string, stateKey: string) {
    const { reader } = this.#source;
    const position: Position | undefined = stateEventAt(reader, this.#room.id, state, type, stateKey);
    const event = position === undefined ? undefined : knownEventAt(reader, position);
    return event && contentOf(event.row);
  }

  /** Users of the other server that are, or were, in the room; of all its members, who may be many. */
  async #findMembers(): Promise<readonly string[]> {
    const found: string[] = [];
    let last: string | undefined;
    do {
      const page = memberIdsAfter(this.#source.reader, this.#room.id, last, MEMBERS_PAGE);
      for (const userId of page) if (userId.endsWith(`:${this.#origin}`)) found.push(userId);
      last = page.at(-1);
      if (sharedPacer.isDue) await sharedPacer.pause();
    } while (last !== undefined && found.length < MAX_MEMBERS_ASKED);
    return found.slice(0, MAX_MEMBERS_ASKED);
  }
}

function isDeeper(a: KnownEvent, b: KnownEvent): boolean {
  return a.row.depth === b.row.depth ? a.position > b.position : a.row.depth > b.row.depth;
}
