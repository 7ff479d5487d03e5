/**
 * Fetches the members of rooms that this server came into without being told of all of them ("faster joins"), and judges what came
 * meanwhile. What there is to do is in the projections, so that a restart goes on with it.
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Reader } from '#projections/engine/reader.ts';
import { knownEventAt } from '#projections/rooms/known-events.ts';
import {
  heldEventsOf,
  type PartialRoom,
  partialRoom,
  partialRooms,
  roomsWithHeldEvents,
} from '#projections/rooms/partial.ts';
import { readPduRecord } from '#projections/rooms/pdu-record.ts';
import {
  findRoom,
  isServerIn,
  membershipOf,
  roomById,
  serverMemberCount,
  serversIn,
  stateEvent,
} from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Bus } from '#src/bus/bus.ts';
import { onServerBack } from '#src/bus/server-back.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import { NotWanted } from '#src/rooms/receive/outliers.ts';
import { type Receiver, receivingRoom } from '#src/rooms/receive/receiver.ts';
import type { ReceivingRoom } from '#src/rooms/receive/types.ts';
import type { Rooms } from '#src/rooms/rooms.ts';
import type { EventLog, Position } from '#streams/event-log.ts';
import type { FederationClient } from './client.ts';
import { FederationError } from './errors.ts';
import { Slots } from './slots.ts';
import { stateBefore } from './state-before.ts';

/** Rooms whose members are fetched at the same time. */
const MAX_ROOMS_AT_ONCE = 2;
/** Rooms that may wait for their turn: all that a server may have come into at a time when nobody answers. */
const MAX_ROOMS_WAITING = 100_000;
/** Servers that are asked in one round, the one that let this server in first; the next round goes on with those behind them. */
const MAX_SERVERS_A_ROUND = 10;
/** The state of the largest rooms. */
const MAX_STATE_BYTES = 256 * 1024 * 1024;
/** The other server has to put together the state of the room. */
const STATE_DEADLINE_MS = 180_000;
/** Between rounds in which nobody told. */
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

export interface MemberFetchingOptions {
  readonly client: Pick<FederationClient, 'read'>;
  /** Tells of servers that are there again. */
  readonly bus: Pick<Bus, 'follow'>;
  readonly rooms: Rooms;
  readonly receiver: Receiver;
  readonly log: EventLog;
  readonly reader: Reader;
  readonly serverName: string;
  readonly logger: Logger;
  /** Default {@link FIRST_PAUSE_MS}. */
  readonly firstPauseMs?: number;
}

/** One task a room. */
export class MemberFetching {
  readonly #options: MemberFetchingOptions;
  readonly #tasks = new Map<Position, Promise<void>>();
  readonly #slots = new Slots({ perName: MAX_ROOMS_AT_ONCE, maxWaiting: MAX_ROOMS_WAITING });
  readonly #stopping = new AbortController();
  /** Breaks off what is under way for a room, for another task to begin. */
  readonly #underWay = new Map<Position, AbortController>();
  /** Ends the pause before the next round of a room; its reason is the name of the server to begin with. */
  readonly #pauses = new Map<Position, AbortController>();
  #stopListening: (() => void) | undefined;

  constructor(options: MemberFetchingOptions) {
    this.#options = options;
  }

  /** Goes on with what an earlier run of the server left. */
  start(): void {
    const { reader, bus } = this.#options;
    this.#stopListening = onServerBack(bus, (server) => this.#onRecovery(server));
    const rooms = [...[...partialRooms(reader)].map(({ room }) => room), ...roomsWithHeldEvents(reader)];
    for (const room of new Set(rooms)) this.#begin(room);
  }

  /** Begins to fetch the members of a room that this server has just come into. */
  begin(roomId: string): void {
    const room = findRoom(this.#options.reader, roomId);
    if (room !== undefined) this.#begin(room.id);
  }

  /** Breaks off what is under way, and resolves when nothing is. */
  async close(): Promise<void> {
    this.#stopListening?.();
    this.#stopping.abort();
    await Promise.all(this.#tasks.values());
  }

  #begin(room: Position): void {
    if (this.#stopping.signal.aborted) return;
    // The room may have been left and entered anew while the task for the earlier entry is ending, or waits.
    this.#underWay.get(room)?.abort();
    const before = this.#tasks.get(room) ?? Promise.resolve();
    const task = before
      .then(() => this.#work(room))
      .catch((error: unknown) => {
        if (this.#stopping.signal.aborted) return;
        this.#options.logger.error({ err: error, room }, 'the members of a room could not be taken in');
      })
      .finally(() => {
        if (this.#tasks.get(room) === task) this.#tasks.delete(room);
      });
    this.#tasks.set(room, task);
  }

  async #work(room: Position): Promise<void> {
    const underWay = new AbortController();
    this.#underWay.set(room, underWay);
    try {
      await this.#fetch(room, AbortSignal.any([this.#stopping.signal, underWay.signal]));
    } catch (error) {
      // The next task does what there is to do now.
      if (!underWay.signal.aborted) throw error;
    } finally {
      if (this.#underWay.get(room) === underWay) this.#underWay.delete(room);
    }
  }

  /** @param signal breaks it off: it then rejects. */
  async #fetch(room: Position, signal: AbortSignal): Promise<void> {
    const { reader, rooms, firstPauseMs = FIRST_PAUSE_MS } = this.#options;
    let first: string | undefined;
    let pauseMs = firstPauseMs;
    for (let round = 0; ; round += 1) {
      const partial = partialRoom(reader, room);
      if (partial === undefined) break;
      if (!rooms.isResident(partial.roomId)) return;
      const servers = this.#serversFor(room, first ?? partial.via, round);
      if ((await this.#round(room, partial, servers, signal)) || !rooms.isResident(partial.roomId)) continue;
      first = await this.#pause(room, pauseMs * (0.5 + Math.random()), signal);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
    await this.#judgeHeld(room);
  }

  /** @returns the server that ended the pause by being there again. @throws when the signal fires. */
  async #pause(room: Position, lengthMs: number, signal: AbortSignal): Promise<string | undefined> {
    const ending = new AbortController();
    this.#pauses.set(room, ending);
    try {
      await delay(lengthMs, undefined, { signal: AbortSignal.any([signal, ending.signal]), ref: false });
      return undefined;
    } catch (error) {
      if (signal.aborted || !ending.signal.aborted) throw error;
      return String(ending.signal.reason);
    } finally {
      if (this.#pauses.get(room) === ending) this.#pauses.delete(room);
    }
  }

  /** A server that was in trouble is there again: rooms that it is in need not wait longer. */
  #onRecovery(server: string): void {
    for (const [room, pause] of this.#pauses) if (isServerIn(this.#options.reader, room, server)) pause.abort(server);
  }

  /** Asks one server after the other; true if something has changed. */
  async #round(
    room: Position,
    partial: PartialRoom,
    servers: readonly string[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const release = await this.#slots.take('all', signal);
    if (release === undefined) return false;
    let isShutOut = false;
    try {
      for (const server of servers) {
        try {
          return await this.#askFor(room, partial, server, signal);
        } catch (error) {
          if (signal.aborted) throw error;
          if (error instanceof NotWanted) return true;
          if (error instanceof FederationError && error.status === 403) isShutOut = true;
          const isTheirs = error instanceof FederationError || error instanceof MatrixError;
          const { logger } = this.#options;
          const { roomId } = partial;
          if (isTheirs)
            logger.info({ server, roomId, reason: error.message }, 'a server did not tell who is in a room');
          else logger.error({ server, roomId, err: error }, 'what a server told of who is in a room was not taken in');
        }
      }
      return isShutOut && (await this.#takeRemoval(room));
    } finally {
      release();
    }
  }

  /** Nobody tells a server that is out of the room who is in it: whether somebody has put the last of our users out. */
  async #takeRemoval(room: Position): Promise<boolean> {
    const { reader, log, receiver, serverName } = this.#options;
    const receiving = this.#receivingRoom(room);
    if (receiving === undefined || serverMemberCount(reader, room, serverName) !== 1) return false;
    for (const position of [...heldEventsOf(reader, room)]) {
      const row = knownEventAt(reader, position)?.row;
      const { type, sender, stateKey } = row ?? {};
      if (type !== 'm.room.member' || stateKey === undefined || stateKey === sender) continue;
      if (serverNameOf(stateKey) !== serverName || membershipOf(reader, room, stateKey) !== 'join') continue;
      const record = await log.readAt(position);
      const read = record && readPduRecord(record);
      const membership = read?.pdu.content.membership;
      if (read === undefined || (membership !== 'leave' && membership !== 'ban')) continue;
      if (await receiver.receiveRemoval(receiving, serverNameOf(read.pdu.sender) ?? '', read.pdu)) return true;
    }
    return false;
  }

  /** One server, and the others in the room that have their turn in a round. */
  #serversFor(room: Position, first: string, round: number): string[] {
    const { reader, serverName } = this.#options;
    const others = [...serversIn(reader, room)].filter((server) => server !== first && server !== serverName);
    const perRound = MAX_SERVERS_A_ROUND - 1;
    const from = others.length === 0 ? 0 : (round * perRound) % others.length;
    return [first, ...[...others.slice(from), ...others.slice(0, from)].slice(0, perRound)];
  }

  /** The state before the entry, as a server tells it. */
  async #askFor(room: Position, { roomId, entry }: PartialRoom, server: string, signal: AbortSignal): Promise<boolean> {
    const { client, receiver, reader, logger } = this.#options;
    const receiving = this.#receivingRoom(room);
    if (receiving === undefined) throw new FederationError('refused', server, 'the version of the room is not known');
    const { told, stateIds } = await stateBefore({ client, receiver }, receiving, entry, {
      destination: server,
      deadlineMs: STATE_DEADLINE_MS,
      maxAnswerBytes: MAX_STATE_BYTES,
      signal,
    });
    const create = stateEvent(reader, room, 'm.room.create', '')?.eventId;
    if (create === undefined || !stateIds.has(create)) {
      throw new FederationError('bad_answer', server, 'it tells of a state without the create event of the room');
    }
    await receiver.takeIn(
      told,
      () => partialRoom(reader, room)?.entry === entry && this.#options.rooms.isResident(roomId),
    );
    const isDone = await receiver.receiveMembers(receiving, entry, stateIds);
    if (isDone) logger.info({ server, roomId, events: stateIds.size }, 'all members of a room are known');
    return isDone;
  }

  /** What came while not all members were known, in the order in which it came. */
  async #judgeHeld(room: Position): Promise<void> {
    const { reader, log, receiver, logger } = this.#options;
    const receiving = this.#receivingRoom(room);
    if (receiving === undefined) return;
    for (const position of [...heldEventsOf(reader, room)]) {
      if (this.#stopping.signal.aborted) return;
      const record = await log.readAt(position);
      const read = record && readPduRecord(record);
      if (read === undefined) continue;
      const origin = serverNameOf(read.pdu.sender) ?? '';
      const verdict = await receiver.receiveHeld(receiving, origin, read.pdu, read.meta.eventId);
      if (verdict.kind === 'accept') continue;
      const { kind, step, reason } = verdict;
      const { roomId } = receiving;
      logger.info({ origin, roomId, eventId: read.meta.eventId, kind, step, reason }, 'an event was not let in');
    }
  }

  #receivingRoom(room: Position): ReceivingRoom | undefined {
    const row = roomById(this.#options.reader, room);
    return row && receivingRoom(row.roomId, row.version);
  }
}
