/** What is appended: checked, sealed for the driver, and as live subscribers see it. */
import {
  type Appended,
  type LogRecord,
  MAX_APPEND_BYTES,
  MAX_SECTIONS,
  MAX_STREAM_NAME_BYTES,
  type Position,
  type RecordDraft,
  type Revision,
  TooLarge,
} from './event-log.ts';
import type { SealedAppend, SealedRecord } from './log-driver.ts';
import { encodeHeader, ID_BYTES, leafHash, MAX_KIND_BYTES } from './record-format.ts';
import { newKeys, SEAL_BYTES, sealSection } from './sealing.ts';

/** What a driver may add to a record: frame, links, padding. */
const FRAME_ALLOWANCE_BYTES = 128;

const STREAM_NAME = /^[A-Za-z0-9_-]+$/;
const KIND_NAME = /^[A-Za-z0-9._-]+$/;
const MAX_VERSION = 0xffff;

/** An append under way: sealed for the driver, plain for live subscribers. */
export class PendingAppend implements SealedAppend {
  readonly stream: string;
  readonly expectedRevision: Revision;
  readonly records: readonly SealedRecord[];
  readonly drafts: readonly RecordDraft[];
  readonly leaves: readonly Buffer[];
  readonly recordedAtMs: number;
  readonly bytes: number;
  readonly deadlineAtMs: number;
  firstPosition: Position = -1;
  resolve: (appended: Appended) => void = () => undefined;
  reject: (error: Error) => void = () => undefined;

  constructor(
    stream: string,
    expectedRevision: Revision,
    drafts: readonly RecordDraft[],
    recordedAtMs: number,
    deadlineAtMs: number,
  ) {
    const records: SealedRecord[] = [];
    const leaves: Buffer[] = [];
    let bytes = 0;
    let revision = expectedRevision;
    for (const draft of drafts) {
      revision += 1;
      const record = seal(stream, revision, recordedAtMs, draft);
      records.push(record);
      leaves.push(leafHash(record.header, record.sections));
      bytes += FRAME_ALLOWANCE_BYTES + record.header.length;
      for (const section of record.sections) bytes += section.length;
    }
    this.stream = stream;
    this.expectedRevision = expectedRevision;
    this.records = records;
    this.drafts = drafts;
    this.leaves = leaves;
    this.recordedAtMs = recordedAtMs;
    this.bytes = bytes;
    this.deadlineAtMs = deadlineAtMs;
  }
}

function seal(stream: string, revision: Revision, recordedAtMs: number, draft: RecordDraft): SealedRecord {
  const { id, kind, version, sections } = draft;
  const keys = newKeys(sections.length);
  return {
    header: encodeHeader({ stream, revision, kind, version, recordedAtMs, id, sectionCount: sections.length }),
    sections: sections.map((plain, index) => sealSection(plain, id, index, keys)),
    keys,
  };
}

/** The records of appends that are durable, as whoever appended them gave them. */
export function liveRecords(appends: readonly PendingAppend[]): LogRecord[] {
  const records: LogRecord[] = [];
  for (const append of appends) {
    let revision = append.expectedRevision;
    let position = append.firstPosition;
    for (const draft of append.drafts) {
      revision += 1;
      const { id, kind, version, sections, decoded } = draft;
      const { stream, recordedAtMs } = append;
      records.push({ position, stream, revision, kind, version, recordedAtMs, id, sections, decoded });
      position += 1;
    }
  }
  return records;
}

/** Throws RangeError for what no caller may pass, {@link TooLarge} for what is too much. */
export function checkDrafts(stream: string, expectedRevision: Revision, drafts: readonly RecordDraft[]): void {
  if (stream.length > MAX_STREAM_NAME_BYTES || !STREAM_NAME.test(stream)) {
    throw new RangeError(`not a stream name: ${JSON.stringify(stream.slice(0, 2 * MAX_STREAM_NAME_BYTES))}`);
  }
  if (!Number.isSafeInteger(expectedRevision) || expectedRevision < -1) {
    throw new RangeError(`not a revision: ${expectedRevision}`);
  }
  if (drafts.length === 0) throw new RangeError('an append has at least one record');
  let bytes = 0;
  for (const draft of drafts) {
    if (draft.id.length !== ID_BYTES) throw new RangeError(`a record id has ${ID_BYTES} bytes, not ${draft.id.length}`);
    if (draft.kind.length > MAX_KIND_BYTES || !KIND_NAME.test(draft.kind)) {
      throw new RangeError(`not a record kind: ${JSON.stringify(draft.kind.slice(0, 2 * MAX_KIND_BYTES))}`);
    }
    if (!Number.isInteger(draft.version) || draft.version < 0 || draft.version > MAX_VERSION) {
      throw new RangeError(`not a version: ${draft.version}`);
    }
    if (draft.sections.length > MAX_SECTIONS) {
      throw new TooLarge(`a record of ${draft.sections.length} sections; the most is ${MAX_SECTIONS}`);
    }
    bytes += FRAME_ALLOWANCE_BYTES;
    for (const section of draft.sections) bytes += section.length + SEAL_BYTES;
  }
  // Before sealing, so that nobody can make the log work on what it will not take.
  if (bytes > MAX_APPEND_BYTES) throw new TooLarge(`an append of ${bytes} bytes; the most is ${MAX_APPEND_BYTES}`);
}
