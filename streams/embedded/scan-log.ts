/**
 * Reading a log that another thread of the process has opened: what that one found out is handed over, not found out
 * again. For threads that go through many records and do nothing else: they wait for the disk themselves.
 */
import type { LogRecord, Position } from '../event-log.ts';
import type { FileKeyring } from '../keyring/file-keyring.ts';
import { MasterKeyProblem } from '../keyring/master-key.ts';
import type { LogLayout, RawRecord, ScannableLog } from '../raw-log.ts';
import { openRecords, rawRecord, storedRecord } from '../record-reader.ts';
import { checkSections, type SectionCheck } from '../section-check.ts';
import { blockingFiles } from './files.ts';
import { StreamHeads } from './heads.ts';
import { logPaths } from './paths.ts';
import { openKeyringReadOnly } from './read-only-keyring.ts';
import { RecordStore } from './record-store.ts';
import { OffsetList, Segments, segmentAt } from './segments.ts';

/** What is to be told to other threads of the segments of a log. */
export function layoutOf(folder: string, segments: Segments): LogLayout {
  return {
    folder,
    segments: segments.all.map(({ firstPosition, count, end, offsets }) => ({
      firstPosition,
      count,
      end,
      offsets: offsets && inSharedMemory(offsets.toArray().subarray(0, count)),
    })),
  };
}

function inSharedMemory(offsets: Uint32Array): Uint32Array {
  const shared = new Uint32Array(new SharedArrayBuffer(offsets.byteLength));
  shared.set(offsets);
  return shared;
}

/** Opens a log by its layout, with its keys or without. Throws MasterKeyProblem or `Damaged`. */
export async function openLayout(
  layout: LogLayout,
  options: { readonly withKeys: boolean },
): Promise<ScannableLog & { close(): Promise<void> }> {
  const segments = new Segments(blockingFiles);
  for (const { firstPosition, count, end, offsets } of layout.segments) {
    const segment = segmentAt(logPaths(layout.folder).segments, firstPosition);
    segments.add({ ...segment, count, end, offsets: offsets && new OffsetList(offsets) });
  }
  const keyring = options.withKeys ? await openKeyringReadOnly(blockingFiles, layout.folder) : undefined;
  return new LaidOutLog(new RecordStore(segments, new StreamHeads()), keyring);
}

class LaidOutLog implements ScannableLog {
  readonly #store: RecordStore;
  readonly #keyring: FileKeyring | undefined;

  constructor(store: RecordStore, keyring: FileKeyring | undefined) {
    this.#store = store;
    this.#keyring = keyring;
  }

  async *scanRaw(from: Position, to: Position): AsyncIterable<readonly RawRecord[]> {
    for await (const stored of this.#store.scan(from, to)) yield stored.map(rawRecord);
  }

  async openRecords(records: readonly RawRecord[]): Promise<readonly LogRecord[]> {
    return openRecords(records.map(storedRecord), this.#keys());
  }

  checkSections(records: readonly RawRecord[]): Promise<SectionCheck> {
    return checkSections(records, this.#keys());
  }

  async close(): Promise<void> {
    await this.#store.segments.close();
    await this.#keyring?.close();
  }

  #keys(): FileKeyring {
    if (this.#keyring) return this.#keyring;
    throw new MasterKeyProblem('the log was opened without its keys: stored records can be read, opened ones cannot');
  }
}
