/**
 * Has others vouch for the published checkpoints on a schedule: witnesses, that they saw one history only, and a time-stamp
 * authority, that it was there at the time. What they say is kept beside the tree and put on record.
 */
import { hash, randomBytes } from 'node:crypto';
import type { Audit } from '#src/audit/audit.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Logger } from '#src/log/logger.ts';
import { readCheckpoint } from '#streams/transparency/checkpoint.ts';
import type { Cosignature } from '#streams/transparency/cosignature.ts';
import type { EvidenceFiles } from './evidence-files.ts';
import { type WitnessClient, WitnessContradiction } from './witness-client.ts';
import { WITNESS_STREAM, type WitnessRecord, witnessRecord } from './witness-records.ts';

/** Random bytes by which an answer is told to be to this request. */
const NONCE_BYTES = 16;
/** At most one set of cosignatures is put on record in this time; the last is always in its file. */
const COSIGNED_RECORD_INTERVAL_MS = 3_600_000;
/** Records that this writes for a checkpoint: a log that grew by no more has nothing new to be vouched for. */
const OWN_RECORDS = 3;

/** Asks a time-stamp authority: gives its answer to a request, both DER. */
export type PostToAuthority = (request: Buffer) => Promise<Buffer>;

/** What a keeper needs. */
export interface CheckpointKeeperOptions {
  /** The published checkpoint. */
  readonly checkpoint: () => string | undefined;
  readonly evidence: EvidenceFiles;
  readonly witnesses: readonly WitnessClient[];
  /** How many of them have to cosign. */
  readonly quorum: number;
  readonly cosignIntervalMs: number;
  /** Undefined where no authority is configured. */
  readonly authority: { readonly url: string; readonly post: PostToAuthority; readonly trusted: string } | undefined;
  readonly stampIntervalMs: number;
  readonly commands: StreamCommands;
  readonly audit: Pick<Audit, 'record'>;
  readonly newRecordId: () => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** Figures for operators. */
export interface KeeperCounts {
  /** Contradictions that witnesses have told of since the start. */
  readonly alarms: { rollback: number; fork: number };
  /** Records that the last checkpoint with enough cosignatures speaks of. */
  witnessedSize: number;
  /** Records that the last time stamp is of. */
  stampedSize: number;
  failures: { cosign: number; stamp: number };
}

/** See the file's comment. */
export class CheckpointKeeper {
  readonly counts: KeeperCounts = {
    alarms: { rollback: 0, fork: 0 },
    witnessedSize: 0,
    stampedSize: 0,
    failures: { cosign: 0, stamp: 0 },
  };
  readonly #options: CheckpointKeeperOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #running = new Map<string, Promise<void>>();
  /** Alarms that are on record already, so that one that is seen every minute is written once. */
  readonly #recorded = new Set<string>();
  #cosignedRecordMs = 0;

  constructor(options: CheckpointKeeperOptions) {
    this.#options = options;
  }

  /** Begins the schedule; the first time is at once. */
  start(): void {
    const { witnesses, authority, cosignIntervalMs, stampIntervalMs } = this.#options;
    if (witnesses.length > 0) this.#schedule('cosign', cosignIntervalMs, () => this.cosign());
    if (authority !== undefined) this.#schedule('stamp', stampIntervalMs, () => this.stamp());
  }

  /** Ends the schedule and waits for what is under way. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#running.values());
  }

  /** Has the witnesses cosign the published checkpoint; with enough of them it is the one that is served. Never rejects for a witness. */
  async cosign(): Promise<void> {
    const note = this.#options.checkpoint();
    if (note === undefined) return;
    const { size } = readCheckpoint(note);
    if (size <= this.counts.witnessedSize) return;
    const answers = await Promise.allSettled(this.#options.witnesses.map((witness) => witness.cosign({ note, size })));
    const cosignatures: Cosignature[] = [];
    for (const [index, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') cosignatures.push(answer.value);
      else await this.#onFailure(this.#options.witnesses[index]?.name ?? '', note, answer.reason);
    }
    if (cosignatures.length < this.#options.quorum) return;
    const cosigned = note + cosignatures.map(({ line }) => line).join('');
    await this.#options.evidence.writeWitnessed(cosigned);
    this.counts.witnessedSize = size;
    const nowMs = this.#options.clock();
    if (nowMs - this.#cosignedRecordMs < COSIGNED_RECORD_INTERVAL_MS) return;
    this.#cosignedRecordMs = nowMs;
    const witnesses = cosignatures.map(({ witness }) => witness);
    await this.#record({ kind: 'checkpoint.cosigned', fields: { size, checkpoint: cosigned, witnesses } });
  }

  /** Has the published checkpoint stamped. Rejects where that fails; nothing is kept then. */
  async stamp(): Promise<void> {
    const { authority, evidence } = this.#options;
    const note = this.#options.checkpoint();
    if (note === undefined || authority === undefined) return;
    const { size } = readCheckpoint(note);
    this.counts.stampedSize ||= await evidence.lastStampedSize();
    if (this.counts.stampedSize > 0 && size <= this.counts.stampedSize + OWN_RECORDS) return;
    // Loaded when first needed: few servers have an authority.
    const { timestampRequest, verifyTimestamp } = await import('#streams/transparency/timestamp.ts');
    const digest = hash('sha256', Buffer.from(note), 'buffer');
    const nonce = randomBytes(NONCE_BYTES);
    const response = await authority.post(timestampRequest(digest, nonce));
    const { timeMs } = verifyTimestamp(response, { digest, nonce }, authority.trusted);
    await evidence.addTimestamp({ size, timeMs, checkpoint: note, response });
    this.counts.stampedSize = size;
    const fields = { size, checkpoint: note, response, timeMs, authority: authority.url };
    await this.#record({ kind: 'checkpoint.timestamped', fields });
  }

  #schedule(name: 'cosign' | 'stamp', intervalMs: number, work: () => Promise<void>): void {
    const run = (): void => {
      if (this.#running.has(name)) return;
      const running = work()
        .catch((error: unknown) => {
          this.counts.failures[name] += 1;
          this.#options.logger.warn({ err: error }, `${name} of the published checkpoint failed; it is tried again`);
        })
        .finally(() => this.#running.delete(name));
      this.#running.set(name, running);
    };
    this.#timers.push(setInterval(run, intervalMs).unref());
    run();
  }

  async #onFailure(witness: string, checkpoint: string, error: unknown): Promise<void> {
    const { logger, audit } = this.#options;
    if (!(error instanceof WitnessContradiction)) {
      this.counts.failures.cosign += 1;
      logger.warn({ err: error, witness }, 'a witness did not cosign');
      return;
    }
    const { kind, witnessedSize } = error;
    this.counts.alarms[kind] += 1;
    logger.error({ witness, kind, witnessedSize }, error.message);
    const key = JSON.stringify([witness, kind, witnessedSize]);
    if (this.#recorded.has(key)) return;
    this.#recorded.add(key);
    await audit.record({
      actor: { kind: 'server', task: 'witnesses' },
      action: 'witness.alarm',
      target: { kind: 'server', id: witness },
      why: error.message,
    });
    await this.#record({ kind: 'witness.alarm', fields: { kind, witness, checkpoint, witnessedSize } });
  }

  async #record(record: WitnessRecord): Promise<void> {
    const { commands, newRecordId } = this.#options;
    await commands.run(WITNESS_STREAM, () => ({
      records: [witnessRecord(newRecordId(), record)],
      result: undefined,
    }));
  }
}
