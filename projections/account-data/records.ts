/**
 * The records of a user stream that hold account data and filters.
 *
 * `account_data.set`: section 0 msgpack `[userId, roomId | null, type]`, section 1 the content as JSON text. Destroying the
 * key of section 1 leaves that there was something, and takes the entry away.
 * `filter.added`: section 0 msgpack `[userId, filterId]`, section 1 the filter as JSON text.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const ACCOUNT_DATA_SET = 'account_data.set';
export const FILTER_ADDED = 'filter.added';

/** An entry of a user's account data got a content. */
export interface AccountDataSet {
  readonly userId: string;
  /** The room that it is of; undefined for global account data. */
  readonly roomId: string | undefined;
  readonly type: string;
  /** A JSON object; null where it has been erased. */
  readonly contentJson: string | null;
}

/** A user uploaded a filter. */
export interface FilterAdded {
  readonly userId: string;
  readonly filterId: string;
  /** A JSON object; null where it has been erased. */
  readonly filterJson: string | null;
}

const packr = new Packr({ useRecords: false });

/** The record of a change of account data. */
export function accountDataRecord(
  id: Uint8Array,
  { userId, roomId, type, contentJson }: AccountDataSet & { readonly contentJson: string },
): RecordDraft {
  return draft(id, ACCOUNT_DATA_SET, [userId, roomId ?? null, type], contentJson);
}

/** The record of a filter. */
export function filterRecord(
  id: Uint8Array,
  { userId, filterId, filterJson }: FilterAdded & { readonly filterJson: string },
): RecordDraft {
  return draft(id, FILTER_ADDED, [userId, filterId], filterJson);
}

/** What an `account_data.set` record says; undefined where the key of its section 0 was destroyed. */
export function readAccountData(record: LogRecord): AccountDataSet | undefined {
  const [head, content] = record.sections;
  if (!head) return undefined;
  const [userId, roomId, type] = packr.unpack(head) as [string, string | null, string];
  return { userId, roomId: roomId ?? undefined, type, contentJson: content ? textOf(content) : null };
}

/** What a `filter.added` record says; undefined where the key of its section 0 was destroyed. */
export function readFilter(record: LogRecord): FilterAdded | undefined {
  const [head, content] = record.sections;
  if (!head) return undefined;
  const [userId, filterId] = packr.unpack(head) as [string, string];
  return { userId, filterId, filterJson: content ? textOf(content) : null };
}

function draft(
  id: Uint8Array,
  kind: typeof ACCOUNT_DATA_SET | typeof FILTER_ADDED,
  head: unknown[],
  jsonText: string,
): RecordDraft {
  return {
    id,
    kind,
    version: recordKinds[kind].version,
    sections: [packr.pack(head), Buffer.from(jsonText, 'utf8')],
  };
}

const decoder = new TextDecoder();

function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
