/** History of rooms that this server has not seen yet. https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events */
import type { Reader } from '#projections/engine/reader.ts';
import { type KnownEvent, knownEventAt } from '#projections/rooms/known-events.ts';
import { isPartial } from '#projections/rooms/partial.ts';
import { purgedWithin } from '#projections/rooms/purged-history.ts';
import {
  awaitedEventsOf,
  eventAt,
  eventById,
  findRoom,
  headOf,
  type Room,
  serversBySize,
  stateContent,
  stateEvent,
  timelineBackwards,
} from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Receiver } from '#src/rooms/receive/receiver.ts';
import type { MissingEvents } from '#src/rooms/receive/types.ts';
import { MAX_SERVERS_LOOKED_AT } from '#src/rooms/resident-servers.ts';
import type { Rooms } from '#src/rooms/rooms.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { type FederationClient, federationPath } from './client.ts';
import type { Destinations } from './destinations.ts';
import { FederationError } from './errors.ts';
import { objectsIn } from './inbound/peers.ts';

/** Events that are asked for at once. Source: what servers give at most. */
const EVENTS_PER_REQUEST = 100;
/** Ends of what is known that are asked about at once. */
const MAX_ENDS = 5;
/** Ends that are looked through for those that matter. */
const MAX_ENDS_SEEN = 1000;
/** Servers that are asked, one after the other. */
const MAX_SERVERS_TRIED = 5;
/** People with power in a room whose servers are likely to have been there for long. */
const MAX_LEADERS = 20;
/** Last events of a room whose servers are likely to be there now. */
const MAX_HEARD = 50;
/** A client waits. */
const DEADLINE_MS = 15_000;
/** For each server that is asked for an event near a time. */
const NEAREST_DEADLINE_MS = 5_000;

export interface BackfillingOptions {
  readonly client: FederationClient;
  readonly destinations: Pick<Destinations, 'troubleOf'>;
  readonly receiver: Receiver;
  readonly missing: MissingEvents;
  readonly reader: Reader;
  readonly rooms: Pick<Rooms, 'whenMembersKnown'>;
  readonly serverName: string;
  /** Whether what a purge of a room's history took away may be taken in again. */
  readonly mayReturn: (roomId: string, event: KnownEvent) => boolean;
  readonly logger: Logger;
}

/** Which part of a room's past somebody looks at, by depth. */
export interface DepthRange {
  readonly from: number;
  readonly to: number;
}

/** An event that is missing. */
interface MissingEnd {
  readonly eventId: string;
  /** Of an event that follows it, or of a purged one its own. */
  readonly depth: number;
  /** The server that sent that, and so had the missing one; it may be this one. */
  readonly followedBy: string | undefined;
}

/** Asks other servers for what comes before the oldest events that are known. */
export class Backfilling {
  readonly #options: BackfillingOptions;
  readonly #underWay = new Map<string, Promise<boolean>>();

  constructor(options: BackfillingOptions) {
    this.#options = options;
  }

  /**
   * Fetches history that is missing in a part of a room, if any is and somebody has it. Those who ask about one room at the
   * same time wait for the same answer.
   *
   * @returns whether there is more now than before.
   */
  fill(roomId: string, depths: DepthRange): Promise<boolean> {
    const known = this.#underWay.get(roomId);
    if (known !== undefined) return known;
    // The past is told apart from the state at the entry, which it takes to place it.
    const room = findRoom(this.#options.reader, roomId);
    if (room !== undefined && isPartial(this.#options.reader, room.id)) return this.#fillLater(room, depths);
    const ends = this.#endsIn(roomId, depths);
    if (ends.length === 0) return Promise.resolve(false);
    const filling = this.#fill(roomId, ends).finally(() => this.#underWay.delete(roomId));
    this.#underWay.set(roomId, filling);
    return filling;
  }

  /** Waits for the members of the room first, as long as a request does. */
  async #fillLater({ id, roomId }: Room, depths: DepthRange): Promise<boolean> {
    const { reader, rooms } = this.#options;
    try {
      await rooms.whenMembersKnown(roomId);
    } catch (error) {
      if (error instanceof MatrixError) return false;
      throw error;
    }
    return isPartial(reader, id) ? false : this.fill(roomId, depths);
  }

  /**
   * Asks other servers for an event that was sent nearer to a time than what is known, where history is missing that may have one;
   * takes it in, with the state around it.
   *
   * @param nearestTs when the nearest one that is known was sent; undefined if there is none.
   * @returns its id, if one was found and is known now.
   */
  async nearest(
    roomId: string,
    { ts, direction, nearestTs }: { ts: number; direction: 'f' | 'b'; nearestTs: number | undefined },
  ): Promise<string | undefined> {
    const { reader, missing, receiver, logger } = this.#options;
    const room = findRoom(reader, roomId);
    const rules = room && roomVersionRules(room.version);
    if (room === undefined || rules === undefined || isPartial(reader, room.id)) return undefined;
    if (!this.#isGapNear(room.id, ts, direction, nearestTs)) return undefined;
    for (const destination of this.#servers(room.id)) {
      try {
        const { event_id: eventId, origin_server_ts: sentTs } = await this.#options.client.request({
          destination,
          method: 'GET',
          path: `${federationPath`/_matrix/federation/v1/timestamp_to_event/${roomId}`}?ts=${ts}&dir=${direction}`,
          deadlineMs: NEAREST_DEADLINE_MS,
        });
        if (typeof eventId !== 'string' || typeof sentTs !== 'number') continue;
        const isBehind = direction === 'f' ? sentTs < ts : sentTs > ts;
        if (isBehind || Math.abs(sentTs - ts) >= Math.abs((nearestTs ?? Number.POSITIVE_INFINITY) - ts)) continue;
        if (eventById(reader, eventId)?.room === room.id) return eventId;
        const receiving = { roomId, rules };
        const events = await missing.events(receiving, destination, [eventId]);
        if ((await receiver.receiveHistory(receiving, destination, events)) === 0) continue;
        if (eventById(reader, eventId)?.room === room.id) return eventId;
      } catch (error) {
        if (!(error instanceof FederationError)) throw error;
        logger.info({ destination, roomId, reason: error.message }, 'a server did not say what was sent at a time');
      }
    }
    return undefined;
  }

  /** Whether events are missing between a time and the nearest event that is known. */
  #isGapNear(room: Position, ts: number, direction: 'f' | 'b', nearestTs: number | undefined): boolean {
    const { reader } = this.#options;
    let seen = 0;
    for (const { follower } of awaitedEventsOf(reader, room)) {
      // What is missing was sent before what follows it, or so one may hope.
      const followerTs = eventAt(reader, follower)?.originServerTs ?? 0;
      if (followerTs > (direction === 'f' ? ts : (nearestTs ?? 0))) return true;
      if (++seen >= MAX_ENDS_SEEN) return true;
    }
    return false;
  }

  /**
   * Whom to ask: first those who were there, as what they sent shows; then the servers of those who run the room, of those who spoke
   * in it last, and with the most people in it. Those that are in trouble come last, whatever they are.
   */
  #servers(room: Position, whoWereThere: readonly (string | undefined)[] = []): string[] {
    const { reader, serverName, destinations } = this.#options;
    const largest = serversBySize(reader, room, MAX_SERVERS_LOOKED_AT);
    const isIn = new Set(largest);
    const likely = [...whoWereThere, ...serversOfLeaders(reader, room), ...serversHeardLately(reader, room)];
    const servers = new Set([...likely.filter((server) => server !== undefined && isIn.has(server)), ...largest]);
    const well: string[] = [];
    const inTrouble: string[] = [];
    for (const server of servers) {
      if (server === undefined || server === serverName) continue;
      if (destinations.troubleOf(server) === undefined) well.push(server);
      else if (inTrouble.length < MAX_SERVERS_TRIED) inTrouble.push(server);
      if (well.length >= MAX_SERVERS_TRIED) break;
    }
    return [...well, ...inTrouble].slice(0, MAX_SERVERS_TRIED);
  }

  /** The missing events that known ones of these depths follow, and those of these depths that were purged, the deepest first. */
  #endsIn(roomId: string, { from, to }: DepthRange): MissingEnd[] {
    const { reader } = this.#options;
    const room = findRoom(reader, roomId);
    const ends: MissingEnd[] = [];
    let seen = 0;
    for (const { eventId, follower } of room === undefined ? [] : awaitedEventsOf(reader, room.id)) {
      const { depth = 0, sender = '' } = eventAt(reader, follower) ?? {};
      if (depth >= from && depth <= to) ends.push({ eventId, depth, followedBy: serverNameOf(sender) });
      if (++seen >= MAX_ENDS_SEEN) break;
    }
    ends.push(...this.#purgedIn(room, { from, to }));
    return ends.sort((a, b) => b.depth - a.depth).slice(0, MAX_ENDS);
  }

  *#purgedIn(room: Room | undefined, depths: DepthRange): Generator<MissingEnd> {
    const { reader, mayReturn } = this.#options;
    let seen = 0;
    for (const position of room === undefined ? [] : purgedWithin(reader, room.id, depths)) {
      const known = knownEventAt(reader, position);
      if (known !== undefined && mayReturn(room?.roomId ?? '', known)) {
        const { eventId, depth, sender } = known.row;
        yield { eventId, depth, followedBy: serverNameOf(sender) };
        // Whoever has it tells what came before it, too.
        return;
      }
      if (++seen >= MAX_ENDS_SEEN) return;
    }
  }

  async #fill(roomId: string, ends: readonly MissingEnd[]): Promise<boolean> {
    const { client, receiver, reader, logger } = this.#options;
    const room = findRoom(reader, roomId);
    const rules = room && roomVersionRules(room.version);
    if (room === undefined || rules === undefined) return false;
    const query = [
      ...ends.map(({ eventId }) => `v=${encodeURIComponent(eventId)}`),
      `limit=${EVENTS_PER_REQUEST}`,
    ].join('&');
    const whoWereThere = ends.map(({ followedBy }) => followedBy);
    for (const destination of this.#servers(room.id, whoWereThere)) {
      try {
        const path = `${federationPath`/_matrix/federation/v1/backfill/${roomId}`}?${query}`;
        const answer = await client.request({ destination, method: 'GET', path, deadlineMs: DEADLINE_MS });
        const events = objectsIn(answer.pdus).slice(0, EVENTS_PER_REQUEST);
        if ((await receiver.receiveHistory({ roomId, rules }, destination, events)) > 0) return true;
      } catch (error) {
        if (!(error instanceof FederationError)) throw error;
        logger.info({ destination, roomId, reason: error.message }, 'a server gave no history');
      }
    }
    return false;
  }
}

function serversOfLeaders(reader: Reader, room: Position): (string | undefined)[] {
  const { users } = stateContent(reader, room, 'm.room.power_levels') ?? {};
  const leaders = [
    stateEvent(reader, room, 'm.room.create', '')?.sender ?? '',
    ...Object.keys(isJsonObject(users) ? users : {}).slice(0, MAX_LEADERS),
  ];
  return leaders.map(serverNameOf);
}

function serversHeardLately(reader: Reader, room: Position): (string | undefined)[] {
  const servers: (string | undefined)[] = [];
  for (const { position } of timelineBackwards(
    reader,
    room,
    BEFORE_FIRST,
    headOf(reader, room)?.latest ?? BEFORE_FIRST,
  )) {
    if (servers.push(serverNameOf(eventAt(reader, position)?.sender ?? '')) >= MAX_HEARD) break;
  }
  return servers;
}
