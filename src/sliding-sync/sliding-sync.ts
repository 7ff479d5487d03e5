/**
 * What is new for a user in the rooms that a client wants to know of: the work behind simplified sliding sync.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md
 */
import type { Reader } from '#projections/engine/reader.ts';
import { accountTopic, type Bus, BusFullError, roomTopic, type Topic, userTopic } from '#src/bus/bus.ts';
import { Waiter } from '#src/bus/wait.ts';
import { NO_FILTER } from '#src/client-api/filters/filter.ts';
import type { Acknowledgements } from '#src/encryption/acknowledgements.ts';
import type { Serials } from '#src/ephemeral/serials.ts';
import type { Typing } from '#src/ephemeral/typing.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { UnreadCounts } from '#src/push/unread.ts';
import { BundledRelations } from '#src/sync/bundled-relations.ts';
import type { Viewer } from '#src/sync/client-event.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { LazyMembers } from '#src/sync/lazy-members.ts';
import { stillSeen } from '#src/sync/log-lives.ts';
import { Lru } from '#src/sync/lru.ts';
import type { SyncMemory } from '#src/sync/memory.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { SyncRun } from '#src/sync/run.ts';
import { StopSignal } from '#src/sync/stop-signal.ts';
import { BEFORE_FIRST, type EventLog } from '#streams/event-log.ts';
import { BumpStamps } from './bump-stamps.ts';
import { Connection, type SentChanges } from './connection.ts';
import { type ConnectionName, ConnectionStore } from './connection-store.ts';
import { messagesSeen } from './extensions.ts';
import { lookAtRooms } from './look.ts';
import { formatPosition, type PositionToken } from './position-token.ts';
import type { Rules } from './request.ts';
import { RoomLists } from './room-list.ts';

/** Rooms of connections that are in memory, counted once for each connection that was told of them: some 150 bytes each. */
const MAX_ROOMS_REMEMBERED = 300_000;

export interface SlidingSyncOptions {
  /** The committed projections. */
  readonly reader: Reader;
  readonly log: EventLog;
  readonly bus: Bus;
  readonly typing: Typing;
  /** Numbers what is new of typing and presence. */
  readonly serials: Serials;
  readonly acknowledgements: Acknowledgements;
  readonly unread: UnreadCounts;
  /** What is shared with the other kind of sync. */
  readonly memory: SyncMemory;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Names this run of the server in tokens: a few lower-case letters and digits. */
  readonly epoch: string;
  /** Where connections are kept. */
  readonly dir: string;
  readonly logger: Logger;
}

/** What a client asks for. */
export interface SlidingSyncRequest {
  readonly viewer: Viewer;
  /** The client's name for the connection; empty if it gave none. */
  readonly connId: string;
  readonly txnId: string | undefined;
  /** Missing where a connection begins. */
  readonly position: PositionToken | undefined;
  readonly rules: Rules;
  /** Names the rules: the same text for the same rules. */
  readonly rulesText: string;
  /** How long to wait for something new, in milliseconds. */
  readonly timeoutMs: number;
  /** Asked after each wait; throws when whoever waits was logged out meanwhile. */
  readonly checkAccess: () => void;
  /** Ends the waiting: the client has gone, or the server stops. */
  readonly stops: () => readonly AbortSignal[];
}

interface Look {
  readonly isEmpty: boolean;
  /** Gives the JSON text of the answer, and takes in what it tells. */
  finish(): string;
}

/** Answers sliding syncs of all users. */
export class SlidingSync {
  readonly #options: SlidingSyncOptions;
  readonly #store: ConnectionStore;
  readonly #connections = new Lru<string, Connection>(MAX_ROOMS_REMEMBERED, ({ state }) => state.rooms.size + 1);
  readonly #roomLists: RoomLists;
  readonly #lazyMembers = new LazyMembers();
  readonly #bumpStamps = new BumpStamps();
  /** Connections that this run of the server has begun. */
  #begun = 0;

  constructor(options: SlidingSyncOptions) {
    this.#options = options;
    this.#store = new ConnectionStore(options);
    this.#roomLists = new RoomLists(options.memory.recent);
  }

  /**
   * JSON text of the answer: at once if there is something new, else when there is, or when the time is up.
   * @throws {MatrixError} M_UNKNOWN_POS where it is not known any more what the client knows: it is to begin anew.
   */
  async respond(request: SlidingSyncRequest): Promise<string> {
    const { viewer, position } = request;
    const name: ConnectionName = { userId: viewer.userId, deviceKey: viewer.deviceKey, connId: request.connId };
    const connection = position === undefined ? this.#beginConnection(name) : this.#connection(name, position);
    this.#acknowledge(request);
    const superseded = connection.begin();
    if (position === undefined || request.timeoutMs <= 0) {
      return (await this.#look(request, name, connection)).finish();
    }
    return this.#waitForNews(request, name, connection, superseded);
  }

  /** Writes what is still to be kept. */
  close(): Promise<void> {
    return this.#store.close();
  }

  #beginConnection(name: ConnectionName): Connection {
    this.#begun += 1;
    const id = `${this.#options.epoch}x${this.#begun.toString(36)}`;
    const known = this.#connections.get(nameText(name));
    // Whoever waits on the old one is answered, and has to begin anew as well.
    known?.begin();
    const connection = new Connection({ id, generation: 0, parent: undefined, rooms: new Map(), undo: new Map() });
    this.#connections.set(nameText(name), connection);
    return connection;
  }

  #connection(name: ConnectionName, position: PositionToken): Connection {
    const connection = this.#connections.get(nameText(name)) ?? this.#stored(name);
    const isKnown =
      connection?.state.id === position.connection &&
      // From the future of this log: it was restored from a copy.
      position.seen.position <= this.#options.reader.frontier &&
      !stillSeen(this.#options.reader, position.seen).isCut &&
      connection.goTo(position.generation);
    if (connection === undefined || !isKnown) throw new MatrixError('M_UNKNOWN_POS');
    return connection;
  }

  #stored(name: ConnectionName): Connection | undefined {
    const state = this.#store.load(name);
    if (state === undefined) return undefined;
    const connection = new Connection(state);
    this.#connections.set(nameText(name), connection);
    return connection;
  }

  /** The token that a device comes with says which messages it has got. */
  #acknowledge({ viewer, rules }: SlidingSyncRequest): void {
    const { toDevice } = rules.extensions;
    if (toDevice === undefined) return;
    const { acknowledgements, reader } = this.#options;
    const seen = messagesSeen(reader, toDevice.since);
    if (seen > BEFORE_FIRST) acknowledgements.note(viewer.userId, viewer.deviceKey, Math.min(seen, reader.frontier));
  }

  async #waitForNews(
    request: SlidingSyncRequest,
    name: ConnectionName,
    connection: Connection,
    superseded: AbortSignal,
  ): Promise<string> {
    const deadline = performance.now() + request.timeoutMs;
    using stop = new StopSignal([...request.stops(), superseded]);
    for (;;) {
      // Registered before looking, so that nothing which comes in between is missed.
      using waiter = await this.#waiter(request.viewer.userId);
      const look = await this.#look(request, name, connection);
      if (!look.isEmpty || waiter === undefined) {
        // Who was logged out while this was looked for hears no more of it.
        request.checkAccess();
        return look.finish();
      }
      const outcome = await waiter.wait({ signal: stop.signal, timeoutMs: deadline - performance.now() });
      request.checkAccess();
      if (outcome !== 'woken') return look.finish();
    }
  }

  /** Undefined where the node holds as many waiters as it can: the client then gets its answer at once. */
  async #waiter(userId: string): Promise<Waiter | undefined> {
    const { reader, bus, memory } = this.#options;
    const topics: Topic[] = [userTopic(userId), accountTopic(userId)];
    for (const { roomId } of await memory.joinedRooms.of(reader, userId)) topics.push(roomTopic(roomId));
    try {
      return new Waiter(bus, topics);
    } catch (error) {
      if (error instanceof BusFullError) return undefined;
      throw error;
    }
  }

  async #look(request: SlidingSyncRequest, name: ConnectionName, connection: Connection): Promise<Look> {
    const { reader, typing, serials, memory, epoch } = this.#options;
    const { position: seen, viewer } = request;
    // One event may wake very many at once.
    if (sharedPacer.isDue) await sharedPacer.pause();
    const list = await this.#roomLists.of(reader, viewer.userId);
    // From here to the first pause everything is of one moment.
    const { last: serial } = serials;
    const run = this.#runOf(request);
    const answer = connection.nextAnswer(seen?.answer ?? 0);
    const { generation } = connection.state;
    const news = await lookAtRooms({
      sliding: {
        base: run,
        connection: connection.state.id,
        seenAnswer: seen?.answer ?? 0,
        answer,
        lazyMembers: this.#lazyMembers,
        bumpStamps: this.#bumpStamps,
      },
      list,
      rules: request.rules,
      rulesText: request.rulesText,
      settled: connection.settled?.generation === generation ? connection.settled.what : undefined,
      sent: connection.state.rooms,
      recent: memory.recent,
      typing,
      typingSince: seen && { serial: seen.seen.serial, isCurrent: seen.seen.epoch === epoch },
    });
    return {
      isEmpty: news.isEmpty,
      finish: () => {
        // Another request has taken the connection elsewhere: the client does not look at this answer.
        const isCurrent = connection.state.generation === generation;
        if (isCurrent) {
          this.#commit(name, connection, news.changes, seen === undefined);
          connection.settled = { generation: connection.state.generation, what: news.settled };
        }
        const pos = formatPosition({
          seen: { position: run.upTo, serial, epoch },
          connection: connection.state.id,
          generation: isCurrent ? connection.state.generation : generation,
          answer,
        });
        const txnId = request.txnId === undefined ? '' : `,"txn_id":${JSON.stringify(request.txnId)}`;
        return `{"pos":"${pos}"${txnId},${news.json}}`;
      },
    };
  }

  #commit(name: ConnectionName, connection: Connection, changes: SentChanges, isNew: boolean): void {
    if (changes.size === 0 && !isNew) return;
    connection.commit(changes);
    // It is weighed when it is put there.
    if (this.#connections.get(nameText(name)) === connection) this.#connections.set(nameText(name), connection);
    this.#store.save(name, connection.state);
  }

  #runOf({ viewer, position }: SlidingSyncRequest): SyncRun {
    const { reader, log, memory, unread, clock } = this.#options;
    const ignored = ignoredUsers(reader, viewer.userId);
    return {
      reader,
      log,
      viewer,
      filter: NO_FILTER,
      since: position?.seen.position ?? BEFORE_FIRST,
      isInitial: position === undefined,
      upTo: reader.frontier,
      isFullState: false,
      stateSection: 'state_after',
      nowMs: clock(),
      pacer: sharedPacer,
      heroes: memory.heroes,
      lazyMembers: this.#lazyMembers,
      shared: memory.shared,
      unread,
      ignored,
      bundles: new BundledRelations(reader, ignored),
    };
  }
}

function nameText({ userId, deviceKey, connId }: ConnectionName): string {
  return `${userId}\0${deviceKey}\0${connId}`;
}
