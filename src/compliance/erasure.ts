/**
 * Erasing a person: everything that the server keeps of them goes, but for what the decision keeps. A request is a record; what waits
 * for a hold is deferred, and goes once the hold is released; what is done has a signed certificate.
 */
import { isActiveUser, streamOfUser } from '#projections/accounts/queries.ts';
import { type Erasure, erasureById, erasuresOf, openErasures } from '#projections/compliance/queries.ts';
import {
  type ComplianceRecords,
  complianceRecord,
  type DestroyedSoFar,
  ERASURES_STREAM,
  type ItemClass,
  type RetentionPolicy,
  readComplianceRecord,
} from '#projections/compliance/records.ts';
import { unpackSections } from '#projections/compliance/section-list.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { EventLog, Position, RecordDraft } from '#streams/event-log.ts';
import { type Certificate, type LogProof, makeCertificate } from './certificate.ts';
import { decide } from './decision/decide.ts';
import { type Destruction, NoRoomForTables } from './destruction/destruction.ts';
import type { Holds } from './holds.ts';
import { Ledger } from './ledger.ts';
import { scan } from './scan.ts';

/** Longest delay of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** After a failure it is tried again so much later. */
const RETRY_MS = 60_000;

export interface ErasuresOptions {
  readonly log: EventLog;
  readonly reader: Reader;
  readonly serverName: string;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly destruction: Destruction;
  readonly holds: Holds;
  readonly policy: RetentionPolicy;
  /** How long a request waits that a user made by closing the account, in milliseconds. */
  readonly delayMs: number;
  /** Closes the account of a local user, for ever. */
  readonly deactivate: (userId: string) => Promise<void>;
  /** Redacts what the user has sent to rooms with other servers in them; gives how many events. */
  readonly askPeers: (userId: string) => Promise<number>;
  /** Removes what was copied out of the log of the user. */
  readonly removeCopies: (userId: string) => Promise<void>;
  readonly proof: LogProof | undefined;
  /** Called before anything is destroyed for a request. */
  readonly onRun: (erasure: Erasure) => Promise<void>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
}

export interface NewErasure {
  readonly userId: string;
  /** Who asks. */
  readonly by: string;
  readonly reason: string | null;
  readonly caseId: string | null;
  /** Whether other servers are asked to redact. */
  readonly asksPeers: boolean;
}

/** What stands in `by` for a request that its subject made by closing the account. */
export const BY_SUBJECT = 'subject';

/** What became of a request. */
export interface ErasureOutcome {
  readonly erasure: Erasure;
  /** Undefined while it waits. */
  readonly certificate: Certificate | undefined;
}

export class Erasures {
  readonly #options: ErasuresOptions;
  readonly #closing = new AbortController();
  readonly #running = new Map<string, Promise<ErasureOutcome>>();
  /** Of requests that are open: by id, why the last attempt failed. */
  readonly #failures = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<void> | undefined;

  constructor(options: ErasuresOptions) {
    this.#options = options;
    options.holds.onReleased(() => void this.#goOn());
  }

  /** Goes on with what was asked for before. */
  start(): void {
    void this.#goOn();
  }

  /** A request by its id. */
  find(id: string): Erasure | undefined {
    return erasureById(this.#options.reader, id);
  }

  /** Requests about a user. */
  of(userId: string): Erasure[] {
    return erasuresOf(this.#options.reader, userId);
  }

  /**
   * Puts a request on record. Gives its id; one that is open already is given again.
   * @throws {MatrixError} M_NOT_FOUND for a user of this server that was never there.
   */
  async request(wanted: NewErasure): Promise<string> {
    const { reader, commands, newRecordId, serverName } = this.#options;
    if (wanted.userId.endsWith(`:${serverName}`) && streamOfUser(reader, wanted.userId) === undefined) {
      throw new MatrixError('M_NOT_FOUND', 'There is no such user.');
    }
    const { result } = await commands.run(ERASURES_STREAM, () => {
      const open = this.of(wanted.userId).find(({ state }) => state !== 'completed');
      if (open !== undefined) return { records: [], result: open.id };
      const id = Buffer.from(newRecordId()).toString('base64url');
      return { records: [complianceRecord(newRecordId(), 'erasure.requested', { id, ...wanted })], result: id };
    });
    return result;
  }

  /** Puts the request of a user who closes the account on record; it is carried out after the delay. */
  async requestBySubject(userId: string): Promise<string> {
    const id = await this.request({ userId, by: BY_SUBJECT, reason: null, caseId: null, asksPeers: true });
    void this.#goOn();
    return id;
  }

  /** Begins to carry out a request; what goes wrong is in {@link failureOf}, and it is tried again. */
  begin(id: string): void {
    this.run(id).catch((error: unknown) => {
      if (this.#closing.signal.aborted) return;
      this.#options.logger.error({ err: error, erasure: id }, 'an erasure could not be carried out; it is tried again');
      this.#retryLater(RETRY_MS);
    });
  }

  /** Whether a request is being carried out. */
  isRunning(id: string): boolean {
    return this.#running.has(id);
  }

  /** Why the last attempt to carry out a request failed, if it did. */
  failureOf(id: string): string | undefined {
    return this.#failures.get(id);
  }

  /** Carries out a request now, as far as holds let it. */
  run(id: string): Promise<ErasureOutcome> {
    let running = this.#running.get(id);
    if (running === undefined) {
      running = this.#run(id).then(
        (outcome) => {
          this.#failures.delete(id);
          return outcome;
        },
        (error: unknown) => {
          this.#failures.set(id, error instanceof Error ? error.message : String(error));
          throw error;
        },
      );
      running = running.finally(() => this.#running.delete(id));
      this.#running.set(id, running);
    }
    return running;
  }

  /** The certificate of a request that is completed. */
  async certificate(id: string): Promise<Certificate | undefined> {
    const at = this.find(id)?.certificateAt;
    const record = at === null || at === undefined ? undefined : await this.#options.log.readAt(at);
    const read = record && readComplianceRecord(record);
    return read?.kind === 'erasure.completed'
      ? { document: read.fields.document, note: read.fields.certificate }
      : undefined;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#pass?.catch(() => undefined);
    for (const running of this.#running.values()) await running.catch(() => undefined);
  }

  async #run(id: string): Promise<ErasureOutcome> {
    const erasure = this.find(id);
    if (erasure === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such request.');
    if (erasure.state === 'completed') return { erasure, certificate: await this.certificate(id) };
    const { reader, destruction, policy, holds, clock, proof, serverName, newRecordId, deactivate, askPeers, onRun } =
      this.#options;
    const { userId } = erasure;
    await onRun(erasure);
    const headBefore = await proof?.checkpoint();
    const peersAsked = erasure.asksPeers && erasure.state === 'requested' ? await askPeers(userId) : 0;
    if (isActiveUser(reader, userId)) await deactivate(userId);
    const ledger = new Ledger({ ...this.#options, cause: 'erasure', requestId: id });
    const nowMs = clock();
    const cutShort = await this.#cutShort(erasure);
    await scan({ ...this.#options, about: userId, signal: this.#closing.signal }, (item) => {
      if (!item.userIds.includes(userId)) return undefined;
      if (item.isGone === true && cutShort.positions.has(item.position)) cutShort.count(item.class);
      const circumstances = { policy, holds: holds.standing(), nowMs };
      return ledger.take(item, decide(item, { cause: 'erasure', userId }, circumstances));
    });
    await ledger.flush();
    await this.#options.removeCopies(userId);
    const destroyed = together(erasure.soFar, [cutShort, ledger], peersAsked);
    const { holdIds, deferred } = ledger;
    const defer = () =>
      this.#append(
        complianceRecord(newRecordId(), 'erasure.deferred', { id, holdIds, kept: deferred, soFar: destroyed }),
      );
    try {
      await destruction.finish();
    } catch (error) {
      // What has gone by then is on record, for the certificate; it is gone on with when there is room.
      if (error instanceof NoRoomForTables) await defer();
      throw error;
    }
    if (deferred > 0) {
      await defer();
      return { erasure: this.find(id) ?? erasure, certificate: undefined };
    }
    const headAfter = await proof?.checkpoint();
    const facts = { serverName, erasure, destroyed, kept: ledger.kept, headBefore, headAfter, nowMs: clock() };
    const certificate = makeCertificate(facts, proof && ((text) => proof.sign(text)));
    const { document, note } = certificate;
    await this.#append(complianceRecord(newRecordId(), 'erasure.completed', { id, document, certificate: note }));
    return { erasure: this.find(id) ?? erasure, certificate };
  }

  /** What was decided for a request and is on record nowhere as what became of it. */
  async #cutShort({ id, soFar }: Erasure): Promise<CutShort> {
    const told = new Set(soFar?.records);
    const cutShort = new CutShort();
    for await (const record of this.#options.log.readStream(ERASURES_STREAM)) {
      const read = told.has(record.position) ? undefined : readComplianceRecord(record);
      if (read?.kind === 'destruction.decided' && read.fields.requestId === id) {
        cutShort.add(record.position, read.fields);
      }
    }
    return cutShort;
  }

  /** Carries out what is due, and sets the clock for the rest. */
  #goOn(): Promise<void> {
    this.#pass = (this.#pass ?? Promise.resolve()).then(() => this.#carryOut());
    return this.#pass;
  }

  async #carryOut(): Promise<void> {
    const { reader, clock, delayMs, holds, logger } = this.#options;
    clearTimeout(this.#timer);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const erasure of openErasures(reader)) {
      if (this.#closing.signal.aborted) return;
      const waitMs = erasure.by === BY_SUBJECT ? erasure.requestedAtMs + delayMs - clock() : 0;
      const standing = new Set(holds.standing().map(({ id }) => id));
      // What waits for a hold that stands would only wait again; without holds it waits for room on the disk.
      const { state, holdIds } = erasure;
      if (state === 'deferred' && holdIds.length > 0 && holdIds.every((hold) => standing.has(hold))) continue;
      if (waitMs > 0) {
        nextMs = Math.min(nextMs, waitMs);
        continue;
      }
      try {
        await this.run(erasure.id);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        logger.error({ err: error, erasure: erasure.id }, 'an erasure could not be carried out; it is tried again');
        nextMs = Math.min(nextMs, RETRY_MS);
      }
    }
    if (nextMs === Number.POSITIVE_INFINITY || this.#closing.signal.aborted) return;
    this.#retryLater(Math.min(nextMs, MAX_TIMER_MS));
  }

  #retryLater(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#goOn(), delayMs);
    this.#timer.unref();
  }

  async #append(record: RecordDraft): Promise<void> {
    await this.#options.commands.run(ERASURES_STREAM, () => ({ records: [record], result: undefined }));
  }
}

/** What an attempt that the end of the server cut short has destroyed. */
class CutShort {
  readonly records: Position[] = [];
  readonly positions = new Set<Position>();
  readonly destroyed = new Map<ItemClass, number>();
  media = 0;

  add(position: Position, { items, media }: ComplianceRecords['destruction.decided']): void {
    this.records.push(position);
    this.media += media.length;
    for (const item of unpackSections(items)) this.positions.add(item.position);
  }

  count(itemClass: ItemClass): void {
    this.destroyed.set(itemClass, (this.destroyed.get(itemClass) ?? 0) + 1);
  }
}

/** What attempts have destroyed, with what those before them had. */
function together(
  before: DestroyedSoFar | null,
  attempts: readonly Pick<Ledger, 'destroyed' | 'media' | 'records'>[],
  peersAsked: number,
): DestroyedSoFar {
  const items: Partial<Record<ItemClass, number>> = { ...before?.items };
  for (const { destroyed } of attempts) {
    for (const [itemClass, count] of destroyed) items[itemClass] = (items[itemClass] ?? 0) + count;
  }
  return {
    items,
    media: attempts.reduce((sum, { media }) => sum + media, before?.media ?? 0),
    records: [...(before?.records ?? []), ...attempts.flatMap(({ records }) => records)],
    peersAsked: (before?.peersAsked ?? 0) + peersAsked,
  };
}
