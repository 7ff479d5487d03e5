/**
 * Transactions of other servers: events and what is not logged, in their order.
 * https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, isServerIn } from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import type { Bus } from '#src/bus/bus.ts';
import { receivingFrom, Turns } from '#src/bus/work.ts';
import { badJson } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Receiver } from '#src/rooms/receive/receiver.ts';
import { receivingRoom } from '#src/rooms/receive/receiver.ts';
import type { Verdict } from '#src/rooms/receive/types.ts';
import { Lru } from '#src/sync/lru.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { FederationCounts } from '../counts.ts';
import { idOfTold } from '../pdus.ts';
import { aclOf } from './admission.ts';
import { takeEnd } from './ended-invites.ts';

/** Most events of a transaction. Source: server-server API, "Transactions". */
export const MAX_TRANSACTION_PDUS = 50;
/** Most EDUs of a transaction. Source: as above. */
export const MAX_TRANSACTION_EDUS = 100;
/** Answers that are remembered, so that a transaction which is sent again gets the same one without being looked at. */
const MAX_REMEMBERED = 2000;

/** What came of each event of a transaction: nothing to say, or why it was not taken in. */
export interface TransactionAnswer {
  readonly pdus: { readonly [eventId: string]: { readonly error?: string } };
}

/** Takes an ephemeral data unit; what it throws is logged and does not stop the others. */
export type EduHandler = (origin: string, content: JsonObject) => void | Promise<void>;

export interface TransactionsOptions {
  readonly reader: Reader;
  /** Says which node takes in what of what a server sends. */
  readonly bus: Bus;
  readonly serverName: string;
  readonly receiver: Pick<Receiver, 'enqueue' | 'receiveOutOfBand'>;
  /** By type. Other types are passed over. */
  readonly edus: ReadonlyMap<string, EduHandler>;
  readonly counts: FederationCounts;
  readonly logger: Logger;
}

/**
 * Works on transactions. Events of one room and origin are taken in one after the other, whichever transactions they are in and
 * whichever nodes they came to; rooms do not wait for each other. An event is durable when the transaction is answered. One that
 * comes again to another node is worked on again, and finds in the log what is there already.
 */
export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #answers = new Lru<string, TransactionAnswer>(MAX_REMEMBERED);
  readonly #underWay = new Map<string, Promise<TransactionAnswer>>();
  readonly #turns: Turns;

  constructor(options: TransactionsOptions) {
    this.#options = options;
    this.#turns = new Turns(options.bus);
  }

  /** @throws {MatrixError} M_BAD_JSON for a transaction of more than it may have. */
  receive(
    origin: string,
    txnId: string,
    pdus: readonly unknown[],
    edus: readonly unknown[],
  ): Promise<TransactionAnswer> {
    const key = `${origin.length}:${origin}${txnId}`;
    const known = this.#underWay.get(key) ?? this.#answers.get(key);
    if (known !== undefined) return Promise.resolve(known);
    if (pdus.length > MAX_TRANSACTION_PDUS) throw badJson(`A transaction has at most ${MAX_TRANSACTION_PDUS} PDUs.`);
    if (edus.length > MAX_TRANSACTION_EDUS) throw badJson(`A transaction has at most ${MAX_TRANSACTION_EDUS} EDUs.`);
    this.#options.counts.transactionsReceived += 1;
    const working = this.#work(origin, pdus, edus);
    this.#underWay.set(key, working);
    const done = (): boolean => this.#underWay.delete(key);
    working.then((answer) => this.#answers.set(key, answer)).then(done, done);
    return working;
  }

  async #work(origin: string, pdus: readonly unknown[], edus: readonly unknown[]): Promise<TransactionAnswer> {
    const byRoom = new Map<string, JsonObject[]>();
    const answers: { [eventId: string]: { error?: string } } = {};
    for (const pdu of pdus) {
      if (!isJsonObject(pdu) || typeof pdu.room_id !== 'string') continue;
      const others = byRoom.get(pdu.room_id);
      if (others === undefined) byRoom.set(pdu.room_id, [pdu]);
      else others.push(pdu);
    }
    const rooms = [...byRoom].map(([roomId, events]) => this.#receiveInRoom(origin, roomId, events, answers));
    await Promise.all([...rooms, this.#receiveEdus(origin, edus)]);
    return { pdus: answers };
  }

  async #receiveInRoom(
    origin: string,
    roomId: string,
    events: readonly JsonObject[],
    answers: { [eventId: string]: { error?: string } },
  ): Promise<void> {
    await this.#turns.run(receivingFrom(origin, roomId), async () => {
      const verdicts: Promise<void>[] = [];
      for (const event of events) {
        // Transactions of many servers that come together would hold the event loop for all of their events.
        if (sharedPacer.isDue) await sharedPacer.pause();
        const room = this.#roomFor(origin, roomId);
        const eventId = idIn(event, 'version' in room ? room.version : undefined);
        if ('error' in room) {
          const isEnd = await takeEnd(this.#options, origin, roomId, event);
          if (eventId !== undefined) answers[eventId] = isEnd ? {} : room;
          continue;
        }
        const receiving = receivingRoom(roomId, room.version);
        if (receiving === undefined) continue;
        const { verdict } = await this.#options.receiver.enqueue(receiving, origin, event);
        const told = Promise.resolve(verdict).then((known) => {
          this.#tell(origin, roomId, eventId, known);
          if (eventId !== undefined) answers[eventId] = answerTo(known);
        });
        // What fails is thrown when all have been taken in, below.
        told.catch(() => {});
        verdicts.push(told);
        // The next event is admitted by what is committed.
        if (this.#decidesOnAdmission(event)) await told;
      }
      await Promise.all(verdicts);
    });
  }

  /** Looked up for each event: the one before may have changed who may take part. */
  #roomFor(origin: string, roomId: string): { readonly version: string } | { readonly error: string } {
    const { reader, serverName } = this.#options;
    const room = findRoom(reader, roomId);
    if (room === undefined || !isServerIn(reader, room.id, serverName))
      return { error: 'This server is not in the room.' };
    if (!aclOf(reader, room)(origin)) return { error: 'The access list of the room shuts your server out.' };
    return { version: room.version };
  }

  /** Whether an event may change which servers take part, or whether this one does. */
  #decidesOnAdmission({ type, state_key: stateKey }: JsonObject): boolean {
    if (type === 'm.room.server_acl') return true;
    return (
      type === 'm.room.member' && typeof stateKey === 'string' && serverNameOf(stateKey) === this.#options.serverName
    );
  }

  #tell(origin: string, roomId: string, eventId: string | undefined, verdict: Verdict): void {
    this.#options.counts.eventsReceived[verdict.kind] += 1;
    if (verdict.kind === 'accept') return;
    const { kind, step, rule, reason } = verdict;
    this.#options.logger.info({ origin, roomId, eventId, kind, step, rule, reason }, 'an event was not let in');
  }

  async #receiveEdus(origin: string, edus: readonly unknown[]): Promise<void> {
    for (const edu of edus) {
      if (!isJsonObject(edu) || typeof edu.edu_type !== 'string' || !isJsonObject(edu.content)) continue;
      const handler = this.#options.edus.get(edu.edu_type);
      if (handler === undefined) continue;
      try {
        await handler(origin, edu.content);
      } catch (error) {
        this.#options.logger.info({ origin, type: edu.edu_type, err: error }, 'an EDU was not taken in');
      }
    }
  }
}

/** What is rejected is taken in all the same, so that nobody sends it again. */
function answerTo(verdict: Verdict): { error?: string } {
  return verdict.kind === 'drop' || verdict.kind === 'retry' ? { error: verdict.reason } : {};
}

/** The id of an event; by the newest rules if its room is not known. */
function idIn(event: JsonObject, version: string | undefined): string | undefined {
  if (typeof event.event_id === 'string') return event.event_id;
  const rules = receivingRoom('', version ?? SUPPORTED_ROOM_VERSIONS.at(-1) ?? '')?.rules;
  return rules && idOfTold(event, rules);
}
