/** Tells other servers of what is over soon: who types, who is online, who has read what. */
import type { Reader } from '#projections/engine/reader.ts';
import { receiptsBetween } from '#projections/receipts/queries.ts';
import {
  eventsSince,
  findRoom,
  hasOtherServers,
  headOf,
  joinedMembers,
  membershipOf,
  serversIn,
  settledSince,
} from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Bus, Topics } from '#src/bus/bus.ts';
import { type Claim, TELLING } from '#src/bus/work.ts';
import type { Presence } from '#src/ephemeral/presence.ts';
import type { Typing } from '#src/ephemeral/typing.ts';
import type { Logger } from '#src/log/logger.ts';
import { presenceContent } from '#src/sync/presence-news.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import type { Edu } from '../outbound/edu.ts';
import { serversOf } from './lasting.ts';
import type { RemotePresences } from './presence.ts';

/** How often servers are told again of who is online: they forget it after half an hour. */
export const PRESENCE_INTERVAL_MS = 20 * 60_000;
/** How often a node that does not tell what the log has asks whether it is to. */
const ASK_AGAIN_MS = 1000;
/** People of a room of whom a server is told that comes into it. */
const MAX_INTRODUCED = 200;

export interface PassingEdusOptions {
  readonly reader: Reader;
  readonly bus: Bus;
  readonly serverName: string;
  readonly typing: Typing;
  readonly presence: Presence;
  /** What other servers say of their users. */
  readonly presences: RemotePresences;
  readonly sendEdu: (destinations: Iterable<string>, edu: Edu, key?: string) => void;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/**
 * What users do here is told from here; what every node finds in the log (receipts, who came into rooms) is told by one of them.
 */
export class PassingEdus {
  readonly #options: PassingEdusOptions;
  readonly #reader: Reader;
  readonly #stops: (() => void)[] = [];
  #seen: Position;
  #scheduled: NodeJS.Immediate | undefined;
  #claim: Claim | undefined;
  #isClaiming = false;
  #isClosed = false;

  constructor(options: PassingEdusOptions) {
    this.#options = options;
    this.#reader = options.reader;
    this.#seen = this.#reader.frontier;
  }

  start(): void {
    const { bus, typing, presence } = this.#options;
    const again = setInterval(() => this.#tellPresences([...presence.awake()]), PRESENCE_INTERVAL_MS).unref();
    const asking = setInterval(() => void this.#ask(), ASK_AGAIN_MS).unref();
    void this.#ask();
    this.#stops.push(
      bus.follow((topics, position) => this.#onPublished(topics, position)),
      typing.onChange((roomId, userId, isTyping) => this.#tellTyping(roomId, userId, isTyping)),
      presence.onLocalChanges((userIds) => this.#tellPresences(userIds)),
      () => clearInterval(again),
      () => clearInterval(asking),
      () => clearImmediate(this.#scheduled),
    );
  }

  close(): void {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#claim?.release();
  }

  /** Takes the telling of what the log has for this node, if no other has it. */
  async #ask(): Promise<void> {
    if (this.#claim?.lost.aborted === false || this.#isClaiming) return;
    this.#isClaiming = true;
    try {
      this.#claim = await this.#options.bus.claim(TELLING);
      if (this.#isClosed) this.#claim?.release();
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'it is not known which node tells other servers of receipts');
    } finally {
      this.#isClaiming = false;
    }
  }

  #isLocal(userId: string): boolean {
    return serverNameOf(userId) === this.#options.serverName;
  }

  #tellTyping(roomId: string, userId: string, isTyping: boolean): void {
    const room = this.#isLocal(userId) ? findRoom(this.#reader, roomId) : undefined;
    if (room === undefined || membershipOf(this.#reader, room.id, userId) !== 'join') return;
    const content = { room_id: roomId, user_id: userId, typing: isTyping };
    this.#options.sendEdu(serversIn(this.#reader, room.id), { type: 'm.typing', content }, `${roomId} ${userId}`);
  }

  #tellPresences(userIds: readonly string[]): void {
    for (const userId of userIds)
      if (this.#isLocal(userId)) this.#tellPresence(userId, serversOf(this.#reader, userId));
  }

  #tellPresence(userId: string, servers: Iterable<string>): void {
    const { presence, sendEdu, clock } = this.#options;
    const content = presenceContent(presence.of(userId), clock()) as JsonObject;
    const { status_msg: status } = content;
    const push = [
      {
        last_active_ago: 0,
        ...content,
        // Half of a surrogate pair cannot be signed.
        ...(typeof status === 'string' && { status_msg: status.toWellFormed() }),
        user_id: userId,
      },
    ];
    sendEdu(servers, { type: 'm.presence', content: { push } }, userId);
  }

  #onPublished(topics: Topics, position: Position): void {
    if (position === BEFORE_FIRST || this.#scheduled !== undefined || !hasRoom(topics)) return;
    if (!hasOtherServers(this.#reader, this.#options.serverName)) {
      this.#seen = this.#reader.frontier;
      return;
    }
    // After those who wait for their own request.
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined;
      const after = this.#seen;
      this.#seen = this.#reader.frontier;
      if (this.#claim?.lost.aborted !== false) return;
      this.#tellReceipts(after);
      if (this.#options.presence.isEnabled) this.#introduce(after);
    });
  }

  #tellReceipts(after: Position): void {
    for (const { roomId, userId, type, eventId, threadId, tsMs } of receiptsBetween(this.#reader, after, this.#seen)) {
      const room = type === 'm.read' && this.#isLocal(userId) ? findRoom(this.#reader, roomId) : undefined;
      if (room === undefined) continue;
      const data = { ts: tsMs, ...(threadId !== undefined && { thread_id: threadId }) };
      const content = { [roomId]: { [type]: { [userId]: { data, event_ids: [eventId] } } } };
      const key = `${roomId} ${userId} ${threadId ?? ''}`;
      this.#options.sendEdu(serversIn(this.#reader, room.id), { type: 'm.receipt', content }, key);
    }
  }

  /** Tells of people who came into a room, and tells the servers of others who did of the people there. */
  #introduce(after: Position): void {
    const { presence, presences, serverName } = this.#options;
    for (const { event } of eventsSince(this.#reader, after)) {
      const userId = event.type === 'm.room.member' ? event.stateKey : undefined;
      if (userId === undefined || membershipOf(this.#reader, event.room, userId) !== 'join') continue;
      if (this.#isLocal(userId)) {
        presences.welcome();
        if (presence.isAwake(userId)) this.#tellPresence(userId, serversIn(this.#reader, event.room));
        continue;
      }
      let introduced = 0;
      for (const member of this.#awakeIn(event.room)) {
        if (serverNameOf(member) !== serverName) continue;
        this.#tellPresence(member, [serverNameOf(userId) ?? '']);
        introduced += 1;
        if (introduced >= MAX_INTRODUCED) break;
      }
    }
    // Who is in a room may become known long after one of our users came into it.
    if (!settledSince(this.#reader, after).next().done) presences.welcome();
  }

  /** The members of a room who are awake, by looking at whatever is less: at all its members, or at all who are awake. */
  *#awakeIn(room: Position): Generator<string> {
    const { presence } = this.#options;
    if (presence.size > (headOf(this.#reader, room)?.joined ?? 0)) {
      for (const member of joinedMembers(this.#reader, room)) if (presence.isAwake(member)) yield member;
    } else {
      for (const userId of presence.awake()) if (membershipOf(this.#reader, room, userId) === 'join') yield userId;
    }
  }
}

function hasRoom(topics: Topics): boolean {
  for (const topic of topics) if (topic.startsWith('room:')) return true;
  return false;
}
