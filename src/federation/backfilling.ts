/** History of rooms that this server has not seen yet. https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events */
import type { Reader } from '#projections/engine/reader.ts';
import { awaitedEventsOf, eventAt, findRoom, serversIn } from '#projections/rooms/queries.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Receiver } from '#src/rooms/receive/receiver.ts';
import { type FederationClient, federationPath } from './client.ts';
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
/** A client waits. */
const DEADLINE_MS = 15_000;

export interface BackfillingOptions {
  readonly client: FederationClient;
  readonly receiver: Receiver;
  readonly reader: Reader;
  readonly serverName: string;
  readonly logger: Logger;
}

/** Which part of a room's past somebody looks at, by depth. */
export interface DepthRange {
  readonly from: number;
  readonly to: number;
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
    const ends = this.#endsIn(roomId, depths);
    if (ends.length === 0) return Promise.resolve(false);
    const filling = this.#fill(roomId, ends).finally(() => this.#underWay.delete(roomId));
    this.#underWay.set(roomId, filling);
    return filling;
  }

  /** The missing events that known ones of these depths follow, the deepest first. */
  #endsIn(roomId: string, { from, to }: DepthRange): string[] {
    const { reader } = this.#options;
    const room = findRoom(reader, roomId);
    const ends: { readonly eventId: string; readonly depth: number }[] = [];
    let seen = 0;
    for (const { eventId, follower } of room === undefined ? [] : awaitedEventsOf(reader, room.id)) {
      const depth = eventAt(reader, follower)?.depth ?? 0;
      if (depth >= from && depth <= to) ends.push({ eventId, depth });
      if (++seen >= MAX_ENDS_SEEN) break;
    }
    return ends
      .sort((a, b) => b.depth - a.depth)
      .slice(0, MAX_ENDS)
      .map(({ eventId }) => eventId);
  }

  async #fill(roomId: string, ends: readonly string[]): Promise<boolean> {
    const { client, receiver, reader, serverName, logger } = this.#options;
    const room = findRoom(reader, roomId);
    const rules = room && roomVersionRules(room.version);
    if (room === undefined || rules === undefined) return false;
    const query = [...ends.map((eventId) => `v=${encodeURIComponent(eventId)}`), `limit=${EVENTS_PER_REQUEST}`].join(
      '&',
    );
    const servers = [...serversIn(reader, room.id)].filter((server) => server !== serverName);
    for (const destination of servers.slice(0, MAX_SERVERS_TRIED)) {
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
