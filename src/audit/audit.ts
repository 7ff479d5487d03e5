/**
 * Writes the audit log. An entry is durable, and seen by readers, before what it is about is answered; entries that come in
 * while others are being written share the next write.
 */
import { createHash } from 'node:crypto';
import {
  type Actor,
  AUDIT_STREAM,
  type AuditFacts,
  type AuditOutcome,
  type AuditTarget,
  auditIdOf,
  auditRecord,
} from '#projections/audit/records.ts';
import { JsonTooDeepError, parseJson } from '#protocol/json-limits.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { NotWritten, type RecordDraft } from '#streams/event-log.ts';
import type { AuditAction } from './actions.ts';

export type { Actor, AuditTarget } from '#projections/audit/records.ts';

/** What is to be recorded; see {@link AuditFacts}. */
export interface NewAuditEntry {
  readonly actor: Actor;
  readonly action: AuditAction;
  /** Default `allowed`. */
  readonly outcome?: AuditOutcome;
  readonly target?: AuditTarget | undefined;
  readonly roomId?: string | undefined;
  readonly reason?: string | undefined;
  readonly caseId?: string | undefined;
  readonly ip?: string | undefined;
  readonly of?: string | undefined;
  readonly why?: string | undefined;
  readonly count?: number | undefined;
  /** Any JSON, without secrets. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Longest text of an entry, in characters; what is longer is cut, and ends with an ellipsis. */
export const MAX_TEXT_LENGTH = 512;
/** Longest reason, in characters. */
export const MAX_REASON_LENGTH = 4_000;
/** Most bytes of `before` and `after` together; of what is larger only the size and the SHA-256 are kept. */
export const MAX_DETAIL_BYTES = 64 * 1024;
/** Entries that wait to be written. Beyond it what they are about is refused. */
export const MAX_WAITING = 5_000;
/** Most entries, and about how many bytes, of one write; an append has to stay below the log's bound. */
const MAX_BATCH = 500;
const MAX_BATCH_BYTES = 512 * 1024;

interface Waiting {
  readonly draft: RecordDraft;
  readonly sizeBytes: number;
  readonly resolve: (id: string) => void;
  readonly reject: (error: unknown) => void;
}

export interface AuditOptions {
  readonly commands: StreamCommands;
  /** 16 fresh bytes. */
  readonly newRecordId: () => Uint8Array;
}

export class Audit {
  readonly #commands: StreamCommands;
  readonly #newRecordId: () => Uint8Array;
  readonly #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  constructor({ commands, newRecordId }: AuditOptions) {
    this.#commands = commands;
    this.#newRecordId = newRecordId;
  }

  /**
   * Puts an entry on record and resolves with its id once it is durable and can be asked for. Await it before acting, or at the
   * latest before answering; where it rejects (`NotWritten`, `OutcomeUnknown`, …), do not act.
   */
  record(entry: NewAuditEntry): Promise<string> {
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(new NotWritten('too much waits to be written to the audit log'));
    }
    const draft = auditRecord(this.#newRecordId(), boundedFacts(entry), boundedDetails(entry));
    const sizeBytes = draft.sections.reduce((sum, section) => sum + section.length, 0);
    const written = new Promise<string>((resolve, reject) => {
      this.#waiting.push({ draft, sizeBytes, resolve, reject });
    });
    this.#writing ??= this.#writeAll();
    return written;
  }

  /** Resolves when nothing waits to be written. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, batchLength(this.#waiting));
      try {
        const records = batch.map(({ draft }) => draft);
        await this.#commands.run(AUDIT_STREAM, () => ({ records, result: undefined }));
        for (const { draft, resolve } of batch) resolve(auditIdOf(draft.id));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#writing = undefined;
  }
}

function batchLength(waiting: readonly Waiting[]): number {
  let length = 0;
  let bytes = 0;
  for (const { sizeBytes } of waiting) {
    bytes += sizeBytes;
    if (length > 0 && (length === MAX_BATCH || bytes > MAX_BATCH_BYTES)) break;
    length += 1;
  }
  return length;
}

/** The facts within their bounds, and without what is undefined: they come from people whom the server need not trust. */
function boundedFacts(entry: NewAuditEntry): AuditFacts {
  const { actor, action, outcome = 'allowed', target, reason, count, before: _before, after: _after, ...texts } = entry;
  return {
    actor: boundedTexts(actor) as Actor,
    action,
    outcome,
    ...(target !== undefined && { target: { kind: target.kind, id: cut(target.id) } }),
    ...(reason !== undefined && { reason: cut(reason, MAX_REASON_LENGTH) }),
    ...(count !== undefined && { count }),
    ...boundedTexts(texts),
  };
}

function boundedTexts(texts: object): Record<string, string> {
  const given = Object.entries(texts).filter((one): one is [string, string] => typeof one[1] === 'string');
  return Object.fromEntries(given.map(([name, text]) => [name, cut(text)]));
}

function cut(text: string, length: number = MAX_TEXT_LENGTH): string {
  return (text.length <= length ? text : `${text.slice(0, length - 1)}…`).toWellFormed();
}

/** As JSON; of what is too large, or too deep to be read again, its size and digest. */
function boundedDetails({ before, after }: NewAuditEntry): string {
  if (before === undefined && after === undefined) return '';
  const json = JSON.stringify({ before, after }, withoutBigInt);
  const sizeBytes = Buffer.byteLength(json);
  if (sizeBytes <= MAX_DETAIL_BYTES && isReadable(json)) return json;
  return JSON.stringify({
    after: { left_out_bytes: sizeBytes, sha256: createHash('sha256').update(json).digest('hex') },
  });
}

/** Integers beyond the exact ones come in events of old rooms. */
function withoutBigInt(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function isReadable(json: string): boolean {
  try {
    parseJson(json);
    return true;
  } catch (error) {
    if (error instanceof JsonTooDeepError) return false;
    throw error;
  }
}
