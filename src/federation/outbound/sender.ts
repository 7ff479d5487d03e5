/**
 * Sends what happens here to the servers that are to know of it: each in order, none waiting for another.
 * https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import type { Reader } from '#projections/engine/reader.ts';
import { sentPosition } from '#projections/federation/sent.ts';
import { SENT_STREAM, type SentPosition, sentRecord } from '#projections/federation/sent-records.ts';
import { hasOtherServers, knownServers } from '#projections/rooms/queries.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Bus, Topics } from '#src/bus/bus.ts';
import { onServerBack } from '#src/bus/server-back.ts';
import { sendingTo } from '#src/bus/work.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Logger } from '#src/log/logger.ts';
import { Lru } from '#src/sync/lru.ts';
import { BEFORE_FIRST, type EventLog, type Position } from '#streams/event-log.ts';
import { type FederationClient, federationPath } from '../client.ts';
import type { FederationCounts } from '../counts.ts';
import type { Destinations } from '../destinations.ts';
import { FederationError } from '../errors.ts';
import {
  DestinationQueue,
  MAX_EDUS_PER_TRANSACTION,
  MAX_PDUS_PER_TRANSACTION,
  type MissedPage,
  type Transaction,
} from './destination-queue.ts';
import type { Edu, LastingEdus } from './edu.ts';
import { newestMissed } from './missed-events.ts';
import { newEvents, newEventsFor } from './new-events.ts';
import { Pace } from './pace.ts';
import { PduTexts } from './pdu-texts.ts';

/** How often is written down up to where servers have got everything. */
export const CHECKPOINT_INTERVAL_MS = 60_000;
/** How often servers are looked at that may be tried again. */
const RETRY_INTERVAL_MS = 1000;
/** Servers that are caught up at the same time; live traffic does not wait for them. */
const MAX_CATCHING_UP = 32;
/** Positions in one record. */
const MAX_POSITIONS_PER_RECORD = 5000;
/** How long a server is left alone that is there but does not take what it is sent, at first and at most. */
const FIRST_PAUSE_MS = 5_000;
const MAX_PAUSE_MS = 2 * 60_000;
/** Servers whose pauses are remembered. */
const MAX_PAUSES = 20_000;
/** For a transaction and its answer. */
const TRANSACTION_DEADLINE_MS = 60_000;

export interface SenderOptions {
  readonly serverName: string;
  readonly reader: Reader;
  /** Tells what is new, and which node sends to which server. */
  readonly bus: Bus;
  readonly log: EventLog;
  readonly client: Pick<FederationClient, 'request'>;
  readonly destinations: Pick<Destinations, 'troubleOf'>;
  readonly commands: StreamCommands;
  readonly lasting: LastingEdus;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Names this run of the server in the ids of transactions. */
  readonly epoch: string;
  readonly counts: FederationCounts;
  readonly logger: Logger;
  /** Whether a user of this server waits for it right now: what is sent to others then comes a little later. */
  readonly isBusy?: () => boolean;
}

/** How a server stands, for operators. */
export interface DestinationStatus {
  readonly destination: string;
  readonly sentUpTo: Position;
  /** Whether there is something that it has not got yet. */
  readonly isBehind: boolean;
}

/**
 * The queues of all servers that this node sends to. Those with nothing to do cost nothing; one that does not answer is a name and a
 * position. Of several nodes each sees what is new, and whoever is first to take the sending to a server does it; the others ask
 * again a second later, and go on from where it got if it ends without a word.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #queues = new Map<string, DestinationQueue>();
  /** Servers that are to be caught up, and are not at the moment: they wait for their turn, or do not answer. */
  readonly #behind = new Set<string>();
  /** Servers that another node sends to: they are asked for again, should that node be gone. */
  readonly #elsewhere = new Set<string>();
  /** Up to where servers have got everything, where the log does not know it. */
  readonly #unrecorded = new Map<string, Position>();
  /** For servers that are there: those that are not have theirs with the destinations. */
  readonly #pauses = new Lru<string, { readonly untilMs: number; readonly lengthMs: number }>(MAX_PAUSES);
  readonly #stops: (() => void)[] = [];
  #seen: Position;
  readonly #closing = new AbortController();
  readonly #pace: Pace;
  readonly #texts: PduTexts;
  #isScheduled = false;
  #isClosed = false;
  #transactions = 0;
  #catchingUp = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#seen = options.reader.frontier;
    this.#pace = new Pace({ isBusy: options.isBusy });
    this.#texts = new PduTexts({ log: options.log, reader: options.reader });
  }

  /** Forgets the texts of events that are kept for other servers. */
  forgetTexts(): void {
    this.#texts.clear();
  }

  /** Begins with what servers have missed while this one was not running. */
  start(): void {
    const { reader, bus, lasting, serverName } = this.#options;
    for (const server of knownServers(reader)) if (server !== serverName) this.#behind.add(server);
    for (const server of lasting.destinationsSince(-1)) this.#behind.add(server);
    this.#stops.push(bus.follow((topics, position) => this.#onPublished(topics, position)));
    this.#stops.push(onServerBack(bus, (server) => this.#retry(server)));
    this.#stops.push(lasting.wakeOnPublished(bus, (destinations, after) => this.#wake(destinations, after)));
    // Not at once: whoever is sent something may have to ask this server for its keys, which does not listen yet.
    const retries = setInterval(() => this.#retryAll(), RETRY_INTERVAL_MS).unref();
    const checkpoints = setInterval(() => void this.#checkpoint(), CHECKPOINT_INTERVAL_MS).unref();
    this.#stops.push(
      () => clearInterval(retries),
      () => clearInterval(checkpoints),
    );
  }

  /** Breaks off what is under way, and writes down how far it got. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#closing.abort();
    const stopped = [...this.#queues.values()].map((queue) => queue.stop());
    this.#pace.close();
    await Promise.all(stopped);
    await this.#checkpoint();
  }

  /** Sends something that is worth nothing later. With a key, it takes the place of what waits under the same. */
  sendEdu(destinations: Iterable<string>, edu: Edu, key?: string): void {
    if (this.#isClosed) return;
    const fullKey = key === undefined ? undefined : `${edu.type} ${key}`;
    for (const destination of destinations) {
      // Whoever is away is told how things are when it is back.
      if (destination === this.#options.serverName || this.#behind.has(destination)) continue;
      if (this.#elsewhere.has(destination)) void this.#passOnOrSend(destination, edu, fullKey);
      else this.#addEdu(destination, edu, fullKey);
    }
  }

  #addEdu(destination: string, edu: Edu, key: string | undefined): void {
    const queue = this.#queueOf(destination);
    queue.addEdu(edu, key);
    void queue.run();
  }

  /** Hands an EDU to the node that sends to a server. @returns whether there is one. */
  async #passOn(destination: string, { type, content }: Edu, key: string | undefined): Promise<boolean> {
    const { bus, logger } = this.#options;
    try {
      return await bus.tell(sendingTo(destination), { type, content, ...(key !== undefined && { key }) });
    } catch (error) {
      logger.debug({ err: error, destination }, 'an EDU could not be passed on to the node that sends to its server');
      return true;
    }
  }

  /** The same, and if there is no such node any more this one tries to be it. */
  async #passOnOrSend(destination: string, edu: Edu, key: string | undefined): Promise<void> {
    if ((await this.#passOn(destination, edu, key)) || this.#isClosed) return;
    if (this.#elsewhere.has(destination)) this.#catchUp(destination);
    if (!this.#behind.has(destination)) this.#addEdu(destination, edu, key);
  }

  /** Takes an EDU that another node passed on. */
  #onPassedOn(destination: string, { type, content, key }: JsonObject): void {
    if (this.#isClosed || this.#behind.has(destination) || typeof type !== 'string' || !isJsonObject(content)) return;
    this.#addEdu(destination, { type, content }, typeof key === 'string' ? key : undefined);
  }

  /** There is something new for servers among the lasting EDUs, and it came after a position. */
  #wake(destinations: Iterable<string>, after: Position): void {
    if (this.#isClosed) return;
    for (const destination of destinations) {
      if (this.#isOthers(destination)) continue;
      const queue = this.#queueOf(destination, after);
      queue.addLasting();
      void queue.run();
    }
  }

  /** Whether nothing is put into a queue for a server here: what is in the log is found there, by whoever sends to it. */
  #isOthers(destination: string): boolean {
    return (
      destination === this.#options.serverName || this.#behind.has(destination) || this.#elsewhere.has(destination)
    );
  }

  /** How much there is to do: servers that are to be caught up, servers that are being sent something, events in their queues. */
  get load(): { readonly behind: number; readonly sending: number; readonly queuedEvents: number } {
    let queuedEvents = 0;
    for (const queue of this.#queues.values()) queuedEvents += queue.waitingEvents;
    return { behind: this.#behind.size, sending: this.#queues.size, queuedEvents };
  }

  /** Servers that have not got everything. */
  *statuses(): Generator<DestinationStatus> {
    for (const destination of this.#behind) {
      yield { destination, sentUpTo: this.#sentUpTo(destination), isBehind: true };
    }
    for (const { destination, sentUpTo } of this.#queues.values()) yield { destination, sentUpTo, isBehind: false };
  }

  #onPublished(topics: Topics, position: Position): void {
    if (position === BEFORE_FIRST || this.#isScheduled || !this.#concernsOthers(topics)) return;
    this.#isScheduled = true;
    // After those who wait for their own request.
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#isClosed) this.#distribute();
    });
  }

  /** Whether another server may have to be told: one is in some room, or somebody of one was spoken about. */
  #concernsOthers(topics: Topics): boolean {
    const { reader, serverName } = this.#options;
    const ours = `:${serverName}`;
    let hasRoom = false;
    for (const topic of topics) {
      if (topic.startsWith('user:') && !topic.endsWith(ours)) return true;
      hasRoom ||= topic.startsWith('room:');
    }
    if (hasRoom && hasOtherServers(reader, serverName)) return true;
    this.#seen = reader.frontier;
    return false;
  }

  /** Hands what is new to the queues of the servers that are to get it. */
  #distribute(): void {
    const { reader, serverName } = this.#options;
    const after = this.#seen;
    this.#seen = reader.frontier;
    const woken = new Set<DestinationQueue>();
    for (const { place, position, servers, isIntroduction } of newEvents(reader, serverName, after)) {
      for (const server of servers) {
        if (this.#isOthers(server)) continue;
        const queue = this.#queueOf(server, place - 1);
        queue.addEvent(place, position);
        if (isIntroduction) queue.addLastingBehind();
        woken.add(queue);
      }
    }
    for (const queue of woken) void queue.run();
  }

  #queueOf(destination: string, sentUpTo: Position = this.#seen, isBehind = false): DestinationQueue {
    const known = this.#queues.get(destination);
    if (known !== undefined) return known;
    const { bus, epoch, lasting } = this.#options;
    const queue = new DestinationQueue({
      destination,
      sentUpTo,
      isBehind,
      between: (after) => newEventsFor(this.#options.reader, this.#options.serverName, destination, after, this.#seen),
      missed: (server, eventsAfter, edusAfter) => this.#missed(server, eventsAfter, edusAfter),
      claim: () => bus.claim(sendingTo(destination), (message) => this.#onPassedOn(destination, message)),
      lasting,
      pduAt: (position) => this.#texts.at(position),
      turn: () => this.#pace.turn(),
      deliver: (server, transaction) => this.#deliver(server, transaction),
      newTransactionId: () => `${epoch}-${++this.#transactions}`,
      onIdle: (idle) => this.#onIdle(idle),
    });
    this.#queues.set(destination, queue);
    return queue;
  }

  async #missed(destination: string, eventsAfter: Position, edusAfter: Position): Promise<MissedPage> {
    const { reader, serverName, lasting } = this.#options;
    const { edus, upTo: edusUpTo, hasMore } = await lasting.after(destination, edusAfter, MAX_EDUS_PER_TRANSACTION);
    // What comes after is on its way to the queues.
    const until = this.#seen;
    const limit = hasMore ? Math.min(edusUpTo, until) : until;
    const events = newestMissed(reader, serverName, destination, eventsAfter, until).filter(
      ({ place }) => place <= limit,
    );
    const page = events.slice(0, MAX_PDUS_PER_TRANSACTION);
    const isLast = page.length === events.length && !hasMore;
    const eventsUpTo = page.length < events.length ? (page.at(-1)?.place ?? eventsAfter) : limit;
    return { events: page, eventsUpTo, edus, edusUpTo, isLast };
  }

  async #deliver(destination: string, { id, pdus, edus }: Transaction): Promise<boolean> {
    const { client, serverName, clock, counts, logger } = this.#options;
    try {
      const answer = await client.request({
        destination,
        method: 'PUT',
        path: federationPath`/_matrix/federation/v1/send/${id}`,
        canonicalContent: transactionText(serverName, clock(), pdus, edus),
        deadlineMs: TRANSACTION_DEADLINE_MS,
        signal: this.#closing.signal,
      });
      logger.debug({ destination, pdus: pdus.length, edus: edus.length, answer }, 'a transaction was taken');
      counts.transactionsSent.taken += 1;
      counts.eventsSent += pdus.length;
      return true;
    } catch (error) {
      if (error instanceof FederationError && isRefused(error)) {
        counts.transactionsSent.refused += 1;
        logger.warn(
          { destination, err: error, pdus: pdus.length },
          'a server refuses a transaction; it is not sent again',
        );
        return true;
      }
      counts.transactionsSent.failed += 1;
      if (!this.#isClosed) logger.info({ destination, reason: String(error) }, 'a transaction did not arrive');
      return false;
    }
  }

  #onIdle(queue: DestinationQueue): void {
    const { destination, hasFailed } = queue;
    this.#queues.delete(destination);
    if (queue.isElsewhere) {
      this.#elsewhere.add(destination);
      // What nobody takes is lost: it is worth nothing later.
      for (const { key, edu } of queue.waitingEdus()) void this.#passOn(destination, edu, key);
      return;
    }
    // Messages to devices may be ahead of events that are on their way to the queues.
    const upTo = Math.min(queue.sentUpTo, this.#seen);
    this.#unrecorded.set(destination, upTo);
    queue.release(upTo);
    if (this.#isClosed) return;
    if (hasFailed) {
      this.#behind.add(destination);
      this.#pause(destination);
    } else {
      this.#pauses.delete(destination);
    }
  }

  #pause(destination: string): void {
    const { destinations, clock } = this.#options;
    if (destinations.troubleOf(destination) !== undefined) return;
    const before = this.#pauses.get(destination);
    const lengthMs = before === undefined ? FIRST_PAUSE_MS : Math.min(before.lengthMs * 2, MAX_PAUSE_MS);
    this.#pauses.set(destination, { untilMs: clock() + lengthMs, lengthMs });
  }

  /** Catches up those that may be tried now, a few at a time. */
  #retryAll(): void {
    const { destinations, clock } = this.#options;
    const now = clock();
    for (const destination of this.#elsewhere) {
      if (this.#catchingUp >= MAX_CATCHING_UP) return;
      this.#catchUp(destination);
    }
    for (const destination of this.#behind) {
      if (this.#catchingUp >= MAX_CATCHING_UP) return;
      const retryAtMs = destinations.troubleOf(destination)?.retryAtMs ?? this.#pauses.get(destination)?.untilMs ?? 0;
      if (retryAtMs <= now) this.#retry(destination);
    }
  }

  #retry(destination: string): void {
    if (!this.#isClosed && this.#behind.has(destination)) this.#catchUp(destination);
  }

  #catchUp(destination: string): void {
    this.#behind.delete(destination);
    this.#elsewhere.delete(destination);
    this.#catchingUp += 1;
    const queue = this.#queueOf(destination, this.#sentUpTo(destination), true);
    void queue.run().finally(() => {
      this.#catchingUp -= 1;
    });
  }

  #sentUpTo(destination: string): Position {
    return this.#unrecorded.get(destination) ?? sentPosition(this.#options.reader, destination);
  }

  async #checkpoint(): Promise<void> {
    const { commands, newRecordId, logger } = this.#options;
    const positions: SentPosition[] = [...this.#unrecorded];
    for (let at = 0; at < positions.length; at += MAX_POSITIONS_PER_RECORD) {
      const some = positions.slice(at, at + MAX_POSITIONS_PER_RECORD);
      try {
        await commands.run(SENT_STREAM, () => ({ records: [sentRecord(newRecordId(), some)], result: undefined }));
        for (const [destination, position] of some) {
          if (this.#unrecorded.get(destination) === position) this.#unrecorded.delete(destination);
        }
      } catch (error) {
        // A restart then only sends again what servers have.
        logger.warn({ err: error }, 'it could not be recorded how far servers are');
        return;
      }
    }
  }
}

/** A transaction as canonical JSON, put together from events that are so already. */
function transactionText(origin: string, now: number, pdus: readonly string[], edus: readonly Edu[]): string {
  const list = edus.map(({ type, content }) => ({ edu_type: type, content }));
  return `{"edus":${canonicalJson(list, 'loose')},"origin":${canonicalJson(origin)},"origin_server_ts":${now},"pdus":[${pdus.join()}]}`;
}

/**
 * The server is there and says that it will never take it. What reverse proxies say while the server behind them is away, or what
 * may be another tomorrow, is not meant.
 */
function isRefused({ kind, status = 0 }: FederationError): boolean {
  return (
    kind === 'http' &&
    status >= 400 &&
    status < 500 &&
    status !== 429 &&
    status !== 401 &&
    status !== 403 &&
    status !== 404 &&
    status !== 408
  );
}
