/** What one server is to be sent next, and the sending of it. */
import type { Claim, Left } from '#src/bus/work.ts';
import type { Position } from '#streams/event-log.ts';
import type { Edu, LastingEdus } from './edu.ts';
import type { PlacedEvent } from './missed-events.ts';

/** Most events of a transaction. Source: server-server API, "Transactions". */
export const MAX_PDUS_PER_TRANSACTION = 50;
/** Most EDUs of a transaction. Source: as above. */
export const MAX_EDUS_PER_TRANSACTION = 100;
/** Events that wait in memory for one server; with more it is caught up from the log. */
export const MAX_WAITING_EVENTS = 500;
/** EDUs that wait for one server; the oldest go first, which are outdated first. */
export const MAX_WAITING_EDUS = 500;

/** A transaction that is ready to go. */
export interface Transaction {
  readonly id: string;
  /** As canonical JSON. */
  readonly pdus: readonly string[];
  readonly edus: readonly Edu[];
}

/** A page of what a server has missed. */
export interface MissedPage {
  /** Positions of events, in the order of their places. */
  readonly events: readonly PlacedEvent[];
  /** Up to where the server has all events once it has got the page. */
  readonly eventsUpTo: Position;
  readonly edus: readonly Edu[];
  /** The same for lasting EDUs. */
  readonly edusUpTo: Position;
  readonly isLast: boolean;
}

export interface DestinationQueueOptions {
  readonly destination: string;
  /** Up to where the server has got everything. */
  readonly sentUpTo: Position;
  /** Whether there may be something after that which the queue was not told of. */
  readonly isBehind: boolean;
  /** All events for it after a position, of those that queues have been told of; undefined if they are too many to look for. */
  readonly between: (after: Position) => readonly PlacedEvent[] | undefined;
  /**
   * The next page of what the server has missed: events and lasting EDUs after a position each. Of events that queues were not told of
   * yet there are none in it.
   */
  readonly missed: (destination: string, eventsAfter: Position, edusAfter: Position) => Promise<MissedPage>;
  /** Takes the sending to the server for this node; undefined if another has it. */
  readonly claim: () => Promise<Claim | undefined>;
  readonly lasting: Pick<LastingEdus, 'after'>;
  /** An event as canonical JSON; undefined if it was erased. */
  readonly pduAt: (position: Position) => Promise<string | undefined>;
  /** Resolves when the next transaction may be put together. */
  readonly turn: () => Promise<void>;
  /** Resolves to whether the server took it. */
  readonly deliver: (destination: string, transaction: Transaction) => Promise<boolean>;
  readonly newTransactionId: () => string;
  /** Told when it has nothing to do any more: everything is sent, the server does not answer, or another node sends to it. */
  readonly onIdle: (queue: DestinationQueue) => void;
}

/** An EDU that waits, and what it replaces. */
export interface WaitingEdu {
  readonly key: string;
  readonly edu: Edu;
}

/**
 * Sends in order, one transaction at a time, while this node is the one that does. It is let go while it has nothing to do; what
 * it is then is one position.
 */
export class DestinationQueue {
  readonly destination: string;
  readonly #options: DestinationQueueOptions;
  /** Up to where it has all events, and all lasting EDUs. */
  #eventsUpTo: Position;
  #lastingUpTo: Position;
  #hasLasting = false;
  /** Whether there is something among the lasting EDUs that makes sense once the waiting events are there. */
  #hasLastingBehind = false;
  #isBehind: boolean;
  /** Whether something came while the server was caught up. */
  #hasGrown = false;
  #hasFailed = false;
  #claim: Claim | undefined;
  #isStopped = false;
  #running: Promise<void> | undefined;
  #events: PlacedEvent[] = [];
  /** Those with a key replace the one before that has the same. */
  #edus = new Map<string, Edu>();
  #eduSerial = 0;

  constructor(options: DestinationQueueOptions) {
    this.#options = options;
    this.destination = options.destination;
    this.#eventsUpTo = options.sentUpTo;
    this.#lastingUpTo = options.sentUpTo;
    this.#isBehind = options.isBehind;
  }

  /** Up to where the server has got everything. */
  get sentUpTo(): Position {
    const hasLasting = this.#hasLasting || this.#hasLastingBehind;
    const hasEverything = !this.#isBehind && !hasLasting && this.#events.length === 0;
    return (hasEverything ? Math.max : Math.min)(this.#eventsUpTo, this.#lastingUpTo);
  }

  /** Events that wait in memory. */
  get waitingEvents(): number {
    return this.#events.length;
  }

  /** Whether the last transaction did not arrive: the server has to be caught up when it is back. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether another node sends to the server. */
  get isElsewhere(): boolean {
    return this.#hasFailed && this.#claim === undefined && !this.#isStopped;
  }

  /** Passing EDUs that wait. */
  *waitingEdus(): Generator<WaitingEdu> {
    for (const [key, edu] of this.#edus) yield { key, edu };
  }

  /** Gives the sending to the server back, where this node has it. */
  release(upTo: Position): void {
    this.#claim?.release({ upTo, isDone: !this.#hasFailed });
    this.#claim = undefined;
  }

  /** An event came onto the timeline of a room at a place. */
  addEvent(place: Position, position: Position): void {
    if (this.#isBehind) {
      this.#hasGrown = true;
      return;
    }
    this.#events.push({ place, position });
    if (this.#events.length > MAX_WAITING_EVENTS) this.fallBehind();
  }

  /** There is something new for the server among the lasting EDUs. */
  addLasting(): void {
    this.#hasGrown = true;
    this.#hasLasting = true;
  }

  /** As {@link addLasting}, for what the server understands when it has the events that wait now. */
  addLastingBehind(): void {
    this.#hasGrown = true;
    this.#hasLastingBehind = true;
  }

  /** Something that is worth nothing later; `key` names what it replaces. */
  addEdu(edu: Edu, key: string = `#${++this.#eduSerial}`): void {
    this.#edus.delete(key);
    this.#edus.set(key, edu);
    const [oldest] = this.#edus.keys();
    if (this.#edus.size > MAX_WAITING_EDUS && oldest !== undefined) this.#edus.delete(oldest);
  }

  /** Forgets what waits: it is found again in the log. */
  fallBehind(): void {
    this.#isBehind = true;
    this.#events = [];
  }

  /** Sends what there is; resolves when there is nothing left, or the server does not answer. */
  run(): Promise<void> {
    const working = (): Promise<void> =>
      this.#work().catch((error: unknown) => {
        this.#giveUp();
        throw error;
      });
    this.#running ??= working().finally(() => {
      this.#running = undefined;
      // Between the last look and now something may have come.
      if (this.#hasWork && !this.#hasFailed) void this.run();
      else this.#options.onIdle(this);
    });
    return this.#running;
  }

  get #hasWork(): boolean {
    const hasLasting = this.#hasLasting || this.#hasLastingBehind;
    return this.#isBehind || hasLasting || this.#events.length > 0 || this.#edus.size > 0;
  }

  /** Sends nothing more; resolves when nothing of it is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #work(): Promise<void> {
    this.#hasFailed = false;
    while (this.#hasWork) {
      if (!(await this.#own())) {
        this.#hasFailed = true;
        return;
      }
      await this.#options.turn();
      // What came while it waited for its turn goes with the rest.
      const isSent = this.#isStopped ? false : this.#isBehind ? await this.#sendMissed() : await this.#sendNext();
      if (isSent) continue;
      this.#giveUp();
      return;
    }
  }

  /** Whether this node is the one that sends to the server. */
  async #own(): Promise<boolean> {
    if (this.#claim?.lost.aborted === true) {
      this.#claim = undefined;
      return false;
    }
    if (this.#claim !== undefined) return true;
    this.#claim = await this.#options.claim();
    if (this.#claim?.left !== undefined) this.#goOnFrom(this.#claim.left);
    return this.#claim !== undefined;
  }

  /** Another node, or an earlier queue of this one, may have sent what waits here, or not have been able to send what came before. */
  #goOnFrom({ upTo, isDone }: Left): void {
    if (!isDone && !this.#isBehind) {
      this.#eventsUpTo = upTo;
      this.#lastingUpTo = upTo;
      this.fallBehind();
      return;
    }
    const between = isDone && this.#isBehind ? this.#options.between(upTo) : undefined;
    if (between !== undefined) {
      // A node that ended a moment ago: what it still had to send is sent as it would have done it.
      this.#isBehind = false;
      this.#hasLasting = true;
      this.#events = [...between];
    }
    this.#events = this.#events.filter(({ place }) => place > upTo);
    this.#eventsUpTo = Math.max(this.#eventsUpTo, upTo);
    this.#lastingUpTo = Math.max(this.#lastingUpTo, upTo);
  }

  /** Until the server is caught up. */
  #giveUp(): void {
    this.#hasFailed = true;
    this.fallBehind();
    this.#edus.clear();
  }

  async #sendMissed(): Promise<boolean> {
    this.#hasGrown = false;
    const page = await this.#options.missed(this.destination, this.#eventsUpTo, this.#lastingUpTo);
    if (!(await this.#send(page.events, page.edus))) return false;
    this.#eventsUpTo = Math.max(this.#eventsUpTo, page.eventsUpTo);
    this.#lastingUpTo = Math.max(this.#lastingUpTo, page.edusUpTo);
    if (page.isLast && !this.#hasGrown) {
      this.#isBehind = false;
      this.#hasLasting = false;
      this.#hasLastingBehind = false;
    }
    return true;
  }

  async #sendNext(): Promise<boolean> {
    const events = this.#events.slice(0, MAX_PDUS_PER_TRANSACTION);
    const passing = [...this.#edus].slice(0, MAX_EDUS_PER_TRANSACTION / 2);
    const lasting = await this.#nextLasting(MAX_EDUS_PER_TRANSACTION - passing.length);
    const edus = [...(lasting?.edus ?? []), ...passing.map(([, edu]) => edu)];
    if (!(await this.#send(events, edus))) return false;
    if (lasting !== undefined) this.#lastingUpTo = Math.max(this.#lastingUpTo, lasting.upTo);
    // Meanwhile the queue may have fallen behind, or an EDU have been replaced.
    if (!this.#isBehind) {
      this.#events.splice(0, events.length);
      this.#eventsUpTo = Math.max(this.#eventsUpTo, events.at(-1)?.place ?? this.#eventsUpTo);
    }
    if (this.#events.length === 0 && this.#hasLastingBehind) {
      this.#hasLastingBehind = false;
      this.#hasLasting = true;
    }
    for (const [key, edu] of passing) if (this.#edus.get(key) === edu) this.#edus.delete(key);
    return true;
  }

  async #nextLasting(limit: number) {
    if (!this.#hasLasting) return undefined;
    this.#hasLasting = false;
    const page = await this.#options.lasting.after(this.destination, this.#lastingUpTo, limit);
    if (page.hasMore) this.#hasLasting = true;
    return page;
  }

  async #send(events: MissedPage['events'], edus: readonly Edu[]): Promise<boolean> {
    const pdus: string[] = [];
    for (const { position } of events) {
      if (this.#isStopped) return false;
      const pdu = await this.#options.pduAt(position);
      if (pdu !== undefined) pdus.push(pdu);
    }
    if (pdus.length === 0 && edus.length === 0) return true;
    return this.#options.deliver(this.destination, { id: this.#options.newTransactionId(), pdus, edus });
  }
}
