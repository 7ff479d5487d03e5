/**
 * What names media, of all that may still be shown: events as long as their content is there, evidence, messages to devices, what
 * is to be sent later, profiles and account data as they are now. What is encrypted names what nobody here can know.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { entries } from '#projections/account-data/projection.ts';
import { delayedEvents } from '#projections/delayed-events/projection.ts';
import { INBOX_DELIVERED } from '#projections/encryption/inbox-records.ts';
import { OUTBOX_QUEUED } from '#projections/encryption/outbox-records.ts';
import type { KeyPrefix } from '#projections/engine/keys.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { Table } from '#projections/engine/table.ts';
import { profiles } from '#projections/profiles/projection.ts';
import { EVIDENCE_CAPTURED, EVIDENCE_CONTENT_SECTION } from '#projections/reports/evidence-records.ts';
import { PDU_KIND } from '#projections/rooms/pdu-record.ts';
import { mediaKey, mediaNamesIn } from '#src/media/media-names.ts';
import { BEFORE_FIRST, type EventLog, type LogRecord } from '#streams/event-log.ts';

/** Longest time that is worked at one time. */
const SLICE_MS = 8;
/** Rows and records between two looks at the time. */
const STEPS_PER_LOOK = 32;
/** Rows that are read of one moment. */
const ROWS_AT_ONCE = 500;

/** Kinds of records that name media as long as they can be read; of evidence, what was captured. */
const LASTING: ReadonlySet<string> = new Set([PDU_KIND, EVIDENCE_CAPTURED, INBOX_DELIVERED, OUTBOX_QUEUED]);

export interface NamedMediaOptions {
  readonly log: Pick<EventLog, 'readAll' | 'head'>;
  readonly reader: Reader;
}

/** Lets others have their turn. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  #sinceMs = performance.now();
  #steps = 0;

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** To be called after each small piece of work; gives a promise where others are to have their turn. */
  step(): Promise<void> | undefined {
    if (++this.#steps % STEPS_PER_LOOK !== 0 || performance.now() - this.#sinceMs < SLICE_MS) return undefined;
    return this.rest();
  }

  /** @throws what the signal says, when the server stops */
  async rest(): Promise<void> {
    await nextTurn();
    this.#signal?.throwIfAborted();
    this.#sinceMs = performance.now();
  }
}

/** All rows of a table, some at a time. */
export async function* rowsOf<K extends readonly unknown[], V>(
  reader: Reader,
  table: Table<K, V>,
  pace: Pace,
): AsyncGenerator<{ readonly key: K; readonly value: V }> {
  let after: KeyPrefix<K> | undefined;
  for (;;) {
    const rows = Array.from(
      reader.range(table, { ...(after && { gt: after }), limit: ROWS_AT_ONCE }),
      ({ key, value }) => ({ key, value }),
    );
    yield* rows;
    if (rows.length < ROWS_AT_ONCE) return;
    // A whole key is one of its own beginnings.
    after = rows.at(-1)?.key as KeyPrefix<K> | undefined;
    await pace.rest();
  }
}

/** Of these media, by their keys, those that nothing names which may still be shown. */
export async function unnamedOf(
  keys: Iterable<string>,
  { log, reader }: NamedMediaOptions,
  signal?: AbortSignal,
): Promise<Set<string>> {
  const unnamed = new Set(keys);
  const pace = new Pace(signal);
  const strike = (text: string | Uint8Array): void => {
    for (const name of mediaNamesIn(text)) unnamed.delete(mediaKey(name));
  };
  // What comes while this goes on counts, whatever it is; so what is there now may be read bit by bit.
  const begun = Math.min(log.head(), reader.frontier);
  for await (const { value } of rowsOf(reader, profiles, pace)) strike(JSON.stringify(value));
  for await (const { value } of rowsOf(reader, entries, pace)) strike(value[1]);
  for (const { contentJson } of delayedEvents(reader)) strike(contentJson);
  for (let read = BEFORE_FIRST; read < log.head() && unnamed.size > 0; ) {
    for await (const records of log.readAll(read)) {
      for (const record of records) {
        read = record.position;
        for (const section of namingSections(record, begun)) strike(section);
        if (unnamed.size === 0) return unnamed;
        const rest = pace.step();
        if (rest !== undefined) await rest;
      }
      await pace.rest();
    }
  }
  return unnamed;
}

function* namingSections(record: LogRecord, begun: number): Generator<Uint8Array> {
  if (record.position <= begun && !LASTING.has(record.kind)) return;
  for (const [section, bytes] of record.sections.entries()) {
    if (bytes === null) continue;
    if (record.kind === EVIDENCE_CAPTURED && section !== EVIDENCE_CONTENT_SECTION) continue;
    yield bytes;
  }
}
