/**
 * The record of the stream `server-federation-sent`: up to where servers have got what they are to get. One section, msgpack:
 * a list of `[destination, position]`. Written now and then for many servers at once; a server may have got more.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, Position, RecordDraft } from '#streams/event-log.ts';

export const SENT_STREAM = 'server-federation-sent';
export const SENT_KIND = 'federation.sent';
const SENT_RECORD_VERSION = 1;

/** A server, and the position up to which it has got everything. */
export type SentPosition = readonly [destination: string, position: Position];

const packr = new Packr({ useRecords: false });

/** The record that says up to where servers have got everything. */
export function sentRecord(id: Uint8Array, positions: readonly SentPosition[]): RecordDraft {
  return { id, kind: SENT_KIND, version: SENT_RECORD_VERSION, sections: [packr.pack(positions)] };
}

/** What a record says; undefined for one of another kind, or whose key was destroyed. */
export function readSentRecord({ kind, sections }: LogRecord): readonly SentPosition[] | undefined {
  const [section] = sections;
  return kind !== SENT_KIND || !section ? undefined : (packr.unpack(section) as SentPosition[]);
}
