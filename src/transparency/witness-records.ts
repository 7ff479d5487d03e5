/**
 * The records of the stream `server-witness`: what others vouched for of this log's checkpoints, and where they contradict it. One
 * section each, msgpack of the fields below.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const WITNESS_STREAM = 'server-witness';

interface Fields {
  readonly 'checkpoint.timestamped': {
    readonly size: number;
    /** The signed note whose SHA-256 is stamped. */
    readonly checkpoint: string;
    /** The answer of the authority, DER (RFC 3161 §2.4.2). */
    readonly response: Uint8Array;
    /** By the authority's clock: milliseconds since the epoch. */
    readonly timeMs: number;
    readonly authority: string;
  };
  readonly 'checkpoint.cosigned': {
    readonly size: number;
    /** The signed note with the cosignatures behind the log's signature. */
    readonly checkpoint: string;
    readonly witnesses: readonly string[];
  };
  readonly 'witness.alarm': {
    /** `rollback`: the witness knows more records than there are; `fork`: other ones. */
    readonly kind: 'rollback' | 'fork';
    readonly witness: string;
    /** What was submitted to the witness. */
    readonly checkpoint: string;
    /** How many records the witness says it cosigned. */
    readonly witnessedSize: number;
  };
}

/** A record of the stream, read. */
export type WitnessRecord = {
  readonly [Kind in keyof Fields]: { readonly kind: Kind; readonly fields: Fields[Kind] };
}[keyof Fields];

const packr = new Packr({ useRecords: false });

/** A record of the stream. */
export function witnessRecord(id: Uint8Array, { kind, fields }: WitnessRecord): RecordDraft {
  return { id, kind, version: recordKinds[kind].version, sections: [packr.pack(fields)] };
}

/** What a record says; undefined for one of another kind, or whose key was destroyed. */
export function readWitnessRecord(record: LogRecord): WitnessRecord | undefined {
  const [section] = record.sections;
  const isOurs = ['checkpoint.timestamped', 'checkpoint.cosigned', 'witness.alarm'].includes(record.kind);
  return isOurs && section ? ({ kind: record.kind, fields: packr.unpack(section) } as WitnessRecord) : undefined;
}
