import type { MessagePort } from 'node:worker_threads';
import type { ProjectedLog } from '#projections/engine/projection.ts';
import { DISPOSITION_KIND } from '#projections/rooms/disposition-record.ts';
import { PDU_KIND } from '#projections/rooms/pdu-record.ts';
import { DIRECTORY_KINDS } from '#projections/user-directory/projection.ts';
import type { LogRecord, Position, Subscription } from '#streams/event-log.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { RecordPacker, type ToIndex } from './feed-messages.ts';

/**
 * How long new records are gathered before they are handed over together: a batch costs the index less than its records one by
 * one. A search that waits for them has them handed over at once.
 */
const GATHER_MS = 250;
/** Records that are handed over at once. */
const MAX_BATCH_RECORDS = 1024;
/** Bytes of them. */
const MAX_BATCH_BYTES = 2 * 1024 * 1024;
/** Batches that may wait to be applied; beyond it the log is not read on. */
const MAX_BATCHES_WAITING = 4;

/** What the projections of the index are made of. */
export const FED_KINDS: ReadonlySet<string> = new Set([PDU_KIND, DISPOSITION_KIND, ...DIRECTORY_KINDS]);

interface Waiting {
  readonly position: Position;
  resolve(): void;
}

/** Feeds an index with those records of the log that it is made of. */
export class LogFeed {
  readonly #log: ProjectedLog;
  readonly #port: MessagePort;
  #subscription: Subscription | undefined;
  #isStopped = false;
  readonly #gathered = new RecordPacker();
  #timer: NodeJS.Timeout | undefined;
  /** Position of the last record that came from the log. */
  #seen: Position = BEFORE_FIRST;
  /** Up to where each batch goes that was handed over and is not applied. */
  #handedOver: Position[] = [];
  #applied: Position = BEFORE_FIRST;
  #goOn: (() => void) | undefined;
  #lastHandedOverMs = performance.now();
  #waiting: Waiting[] = [];

  constructor(log: ProjectedLog, port: MessagePort) {
    this.#log = log;
    this.#port = port;
  }

  /** The index has all events up to this position. */
  get applied(): Position {
    return this.#applied;
  }

  /** Whether nothing waits to be applied. */
  get isSettled(): boolean {
    return this.#gathered.count === 0 && this.#handedOver.length === 0;
  }

  /** When something was handed over last, by the monotonic clock. */
  get lastHandedOverMs(): number {
    return this.#lastHandedOverMs;
  }

  /** Begins to hand over what is in the log after a position. */
  subscribe(from: Position): void {
    if (this.#isStopped) return;
    this.#seen = from;
    this.#applied = from;
    this.#subscription = this.#log.subscribeAll(from, {
      onRecords: (records) => this.#take(records),
      onPhase: (phase) => {
        if (phase !== 'live') return;
        this.#handOver();
        this.#tell({ kind: 'live' });
      },
      onEnd: (error) => this.#tell({ kind: 'end', reason: error?.message }),
    });
  }

  /** Answers the index's question for one record. */
  async read(position: Position): Promise<void> {
    const record = await this.#log.readAt(position);
    const packer = new RecordPacker();
    if (record !== undefined) packer.add(record);
    this.#tell({ kind: 'read', packed: packer.take() });
  }

  /** The index has applied the oldest batch. */
  noteApplied(): void {
    this.#applied = this.#handedOver.shift() ?? this.#applied;
    this.#settle();
    if (this.#handedOver.length < MAX_BATCHES_WAITING) this.#goOn?.();
  }

  /** Resolves when the index has all events up to a position, or when the time is up. */
  async waitFor(position: Position, timeoutMs: number): Promise<void> {
    this.#handOver();
    if (this.#applied >= position) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting: Waiting = { position, resolve };
    const timer = setTimeout(resolve, timeoutMs);
    this.#waiting.push(waiting);
    await promise;
    clearTimeout(timer);
    this.#waiting = this.#waiting.filter((one) => one !== waiting);
  }

  /** Hands over no more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#goOn?.();
    await this.#subscription?.stop();
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #take(records: readonly LogRecord[]): void | Promise<void> {
    for (const record of records) {
      this.#seen = record.position;
      if (!FED_KINDS.has(record.kind)) continue;
      this.#gathered.add(record);
      if (this.#gathered.count >= MAX_BATCH_RECORDS || this.#gathered.length >= MAX_BATCH_BYTES) this.#handOver();
    }
    if (this.#waiting.length > 0) this.#handOver();
    else if (this.#gathered.count > 0) this.#timer ??= setTimeout(() => this.#handOver(), GATHER_MS);
    this.#settle();
    if (this.#handedOver.length < MAX_BATCHES_WAITING) return undefined;
    return new Promise((resolve) => {
      this.#goOn = () => {
        this.#goOn = undefined;
        resolve();
      };
    });
  }

  #handOver(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#gathered.count === 0) {
      this.#settle();
      return;
    }
    const packed = this.#gathered.take();
    this.#handedOver.push(this.#seen);
    this.#lastHandedOverMs = performance.now();
    this.#tell({ kind: 'records', packed, head: this.#log.head() }, [packed.buffer]);
  }

  /** Where nothing waits to be applied, everything seen is. */
  #settle(): void {
    if (this.isSettled) this.#applied = this.#seen;
    for (const one of this.#waiting) if (one.position <= this.#applied) one.resolve();
  }

  #tell(message: ToIndex, handedOver: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, handedOver);
  }
}
