/**
 * Lets go what has expired: goes through the log on a schedule, asks the decision for each item, and destroys what is due. A run
 * that is cut short by the end of the server is begun anew after the next start; what has gone is gone.
 */

import { latestPolicy, type PolicyInForce, policyAt } from '#projections/compliance/queries.ts';
import { complianceRecord, POLICIES_STREAM, type RetentionPolicy } from '#projections/compliance/records.ts';
import { backupOf } from '#projections/encryption/backup-projection.ts';
import { readBackupRecord } from '#projections/encryption/backup-records.ts';
import { isWaitingForDevices } from '#projections/encryption/inbox-projection.ts';
import { INBOX_DELIVERED } from '#projections/encryption/inbox-records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, stateEventPosition } from '#projections/rooms/queries.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Logger } from '#src/log/logger.ts';
import type { EventLog, LogRecord, Position } from '#streams/event-log.ts';
import { type Circumstances, decide, type Request, type RoomRetention, type Verdict } from './decision/decide.ts';
import type { Destruction, Finished } from './destruction/destruction.ts';
import type { Holds } from './holds.ts';
import type { ClassifiedItem } from './items.ts';
import { Ledger } from './ledger.ts';
import { roomRetention } from './retention-policy.ts';
import { type ScanOptions, scan } from './scan.ts';
import type { UnusedMedia } from './unused-media.ts';

/** A message may be sent again for so long after a failure. */
const RESEND_MS = 60 * 60 * 1000;
/** Nobody waits for a run: it leaves two thirds of the time to others. */
const REST_MS = 16;
/** How long after the start the first run begins. */
const FIRST_RUN_MS = 60_000;

export interface RetentionOptions {
  readonly log: EventLog;
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly destruction: Destruction;
  readonly holds: Holds;
  readonly unusedMedia: Pick<UnusedMedia, 'seeker' | 'release'>;
  /** What the settings say. */
  readonly policy: RetentionPolicy;
  /** How often it runs, in milliseconds. */
  readonly intervalMs: number;
  /** Called before another policy is put in force than there was. */
  readonly onPolicy: (before: RetentionPolicy | undefined, after: RetentionPolicy) => Promise<void>;
  /** Called before a run that destroys something, with what it follows. */
  readonly onRun: () => Promise<void>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** Records that a plan or a run has gone through, of how many. */
export interface RetentionProgress {
  readonly done: number;
  readonly total: number;
}

/** Something that would go. */
export interface PlannedItem {
  readonly item: ClassifiedItem;
  readonly cause: Request['cause'];
  readonly verdict: Verdict;
  /** When: milliseconds since the epoch. */
  readonly dueAtMs: number;
}

export class Retention {
  readonly #options: RetentionOptions;
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<Finished> | undefined;
  #progress: RetentionProgress | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** How far the plan or run has come that told of itself last; undefined where none is under way. */
  get progress(): RetentionProgress | undefined {
    return this.#progress;
  }

  /** Puts the policy on record where it is another than before, and runs on schedule from then on. */
  async start(): Promise<void> {
    await this.recordPolicy();
    this.#schedule(Math.min(FIRST_RUN_MS, this.#options.intervalMs));
  }

  /** Puts the policy of the settings on record, if it is not the one in force. */
  async recordPolicy(): Promise<void> {
    const { reader, commands, newRecordId, policy, onPolicy } = this.#options;
    await commands.run(POLICIES_STREAM, async () => {
      const before = latestPolicy(reader)?.policy;
      if (JSON.stringify(before) === JSON.stringify(policy)) return { records: [], result: undefined };
      await onPolicy(before, policy);
      return { records: [complianceRecord(newRecordId(), 'policy.retention_set', { policy })], result: undefined };
    });
  }

  /** The policy that was in force at a time, in milliseconds since the epoch. */
  policyAt(atMs: number): PolicyInForce | undefined {
    return policyAt(this.#options.reader, atMs);
  }

  /** Destroys what is due now. One run at a time: who asks while one is under way gets its outcome. */
  run(): Promise<Finished> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Gives what would go up to a time, and what is held back although it is due. Changes nothing. */
  async plan(untilMs: number, visit: (planned: PlannedItem) => void | Promise<void>): Promise<void> {
    const circumstances = this.#circumstances(untilMs);
    await this.#scan({}, async (item, record) => {
      for (const request of await this.#requestsFor(item, record)) {
        const verdict = decide(item, request, circumstances(item));
        if (verdict.outcome !== 'destroy' && !isDue(item, request, circumstances(item))) continue;
        const dueAtMs = dueAt(item, request, circumstances(item)) ?? untilMs;
        const pending = visit({ item, cause: request.cause, verdict, dueAtMs });
        if (pending !== undefined) await pending;
        if (verdict.outcome === 'destroy') return;
      }
    });
  }

  /** Stops the schedule, and a run that is under way at its next piece. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#closing.abort();
    await this.#running?.catch(() => undefined);
  }

  async #run(): Promise<Finished> {
    const { log, destruction, clock, onRun, unusedMedia } = this.#options;
    const circumstances = this.#circumstances(clock());
    const ledgers = new Map<Request['cause'], Ledger>();
    const ledgerOf = (cause: Request['cause']): Ledger => {
      let ledger = ledgers.get(cause);
      if (ledger === undefined) {
        ledger = new Ledger({ ...this.#options, cause, requestId: null });
        ledgers.set(cause, ledger);
      }
      return ledger;
    };
    let isOnRecord = false;
    const putOnRecord = async (): Promise<void> => {
      if (!isOnRecord) await onRun();
      isOnRecord = true;
    };
    const upTo = log.head();
    const { signal } = this.#closing;
    const seeker = unusedMedia.seeker();
    await this.#scan({ upTo, restMs: REST_MS }, async (item, record) => {
      seeker.look(item, record);
      for (const request of await this.#requestsFor(item, record)) {
        const verdict = decide(item, request, circumstances(item));
        if (verdict.outcome === 'destroy') await putOnRecord();
        // Most would go for no other reason: only a hold is worth a record.
        if (
          verdict.outcome !== 'destroy' &&
          (verdict.outcome !== 'defer' || !isDue(item, request, circumstances(item)))
        )
          continue;
        await ledgerOf(request.cause).take(item, verdict);
        if (verdict.outcome === 'destroy') break;
      }
    });
    let decided = 0;
    for (const ledger of ledgers.values()) {
      await ledger.flush();
      decided += ledger.records.length;
    }
    decided += await unusedMedia.release(seeker.keys, signal, putOnRecord);
    // Also what was decided since the last run and nobody was in a hurry to clear.
    return decided + destruction.unfinished === 0 ? { sections: 0, media: 0 } : destruction.finish();
  }

  async #scan(
    options: Pick<ScanOptions, 'upTo' | 'restMs'>,
    visit: (item: ClassifiedItem, record: LogRecord) => Promise<void>,
  ): Promise<void> {
    const onProgress = (done: number, total: number): void => {
      this.#progress = { done, total };
    };
    try {
      await scan({ ...this.#options, ...options, signal: this.#closing.signal, onProgress }, visit);
    } finally {
      this.#progress = undefined;
    }
  }

  /** For what reasons an item may go by itself. */
  async #requestsFor(item: ClassifiedItem, record: LogRecord): Promise<Request[]> {
    if (item.isGone === true) return [];
    const { reader, clock } = this.#options;
    const requests: Request[] = [];
    if (item.class !== 'state' || !isCurrentState(reader, item)) requests.push({ cause: 'retention' });
    if (item.eventId !== undefined) {
      const redactedBy = eventAt(reader, item.position)?.redactedBy;
      const redactedAtMs = redactedBy === undefined ? undefined : await this.#recordedAt(redactedBy);
      if (redactedAtMs !== undefined) requests.unshift({ cause: 'redaction', redactedAtMs });
    } else if (item.class === 'key_backup' && isOfDeletedBackup(reader, record)) {
      requests.unshift({ cause: 'key_backup' });
    } else if (isDelivered(reader, record, clock())) {
      requests.unshift({ cause: 'delivered', deliveredAtMs: record.recordedAtMs });
    }
    return requests;
  }

  async #recordedAt(position: Position): Promise<number | undefined> {
    return (await this.#options.log.readAt(position))?.recordedAtMs;
  }

  #circumstances(nowMs: number): (item: ClassifiedItem) => Circumstances {
    const { reader, holds, policy } = this.#options;
    const rooms = new Map<string, RoomRetention | undefined>();
    return ({ roomId }) => {
      if (roomId !== undefined && !rooms.has(roomId)) rooms.set(roomId, roomRetention(reader, roomId));
      return { policy, holds: holds.standing(), nowMs, room: roomId === undefined ? undefined : rooms.get(roomId) };
    };
  }

  #schedule(delayMs: number): void {
    if (this.#closing.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.run()
        .then(({ sections, media }) => {
          if (sections > 0) this.#options.logger.info({ sections, media }, 'what had expired was destroyed');
        })
        .catch((error: unknown) => {
          if (this.#closing.signal.aborted) return;
          this.#options.logger.error({ err: error }, 'what has expired could not all be destroyed; it is tried again');
        })
        .finally(() => this.#schedule(this.#options.intervalMs));
    }, delayMs);
    this.#timer.unref();
  }
}

/** The present state of a room does not expire: the room would have no name. Source: MSC1763. */
function isCurrentState(reader: Reader, { position }: ClassifiedItem): boolean {
  const event = eventAt(reader, position);
  if (event?.stateKey === undefined) return false;
  return stateEventPosition(reader, event.room, event.type, event.stateKey) === position;
}

function isOfDeletedBackup(reader: Reader, record: LogRecord): boolean {
  const read = readBackupRecord(record);
  return read !== undefined && backupOf(reader, read.fields.userId, read.fields.version)?.isDeleted === true;
}

/** Whether every device has got a message, long enough ago that nobody sends it again under the same transaction id. */
function isDelivered(reader: Reader, record: LogRecord, nowMs: number): boolean {
  if (record.kind !== INBOX_DELIVERED || nowMs - record.recordedAtMs < RESEND_MS) return false;
  return !isWaitingForDevices(reader, record);
}

/** Whether an item would go, were it not for holds. */
function isDue(item: ClassifiedItem, request: Request, circumstances: Circumstances): boolean {
  return decide(item, request, { ...circumstances, holds: [] }).outcome === 'destroy';
}

/** When an item goes, in milliseconds since the epoch. */
function dueAt(item: ClassifiedItem, request: Request, circumstances: Circumstances): number | undefined {
  return decide(item, request, { ...circumstances, holds: [], nowMs: item.recordedAtMs }).untilMs;
}
