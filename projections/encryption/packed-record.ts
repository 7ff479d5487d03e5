/** How the records of encryption hold what they say: MessagePack, personal and bulky parts in sections of their own. */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { type RecordKind, recordKinds } from '#streams/kinds.ts';

const packr = new Packr({ useRecords: false, copyBuffers: true });

/** A record whose sections are these values, each as MessagePack. Values are plain data without `undefined`. */
export function packedRecord(id: Uint8Array, kind: RecordKind, sections: readonly unknown[]): RecordDraft {
  return {
    id,
    kind,
    version: recordKinds[kind].version,
    sections: sections.map((section) => packr.pack(section)),
  };
}

/**
 * What a section says; undefined where its key was destroyed. Throws RangeError if the record is of a version that this
 * release does not know.
 */
export function unpackSection(record: LogRecord, kind: RecordKind, section: number): unknown {
  const known = recordKinds[kind].version;
  if (record.version > known) throw new RangeError(`${kind} record version ${record.version} is unknown`);
  const bytes = record.sections[section];
  return bytes ? packr.unpack(bytes) : undefined;
}
