/**
 * Reading a log that another thread of the process has opened: what that one found out is handed over, not found out
 * again. For threads that go through many records and do nothing else: they wait for the disk themselves.
 */
import type { LogRecord, Position } from '../event-log.ts';
import type { FileKeyring } from '../keyring/file-keyring.ts';
import type { KeyStore } from '../keyring/key-store.ts';
import { MasterKeyProblem } from '../keyring/master-key.ts';
import type { StoredRecord } from '../log-driver.ts';
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
export function layoutOf(folder: string, masterKeyFile: string | undefined, segments: Segments): LogLayout {
  return {
    folder,
    masterKeyFile,
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
  const keyring = options.withKeys ? await openKeyring(layout) : undefined;
  return new LaidOutLog(storeOf(layout), keyring);
}

/**
 * Hands the stored records after `from` up to `to` to `take`, a batch at a time, with the keys that open them. A batch is valid
 * until `take` is done. Throws as {@link openLayout} does.
 */
export async function scanLayout(
  layout: LogLayout,
  from: Position,
  to: Position,
  take: (stored: readonly StoredRecord[], keys: KeyStore) => Promise<void>,
): Promise<void> {
  const store = storeOf(layout);
  const keyring = await openKeyring(layout);
  try {
    for await (const stored of store.scan(from, to)) await take(stored, keyring);
  } finally {
    await store.segments.close();
    await keyring.close();
  }
}

function storeOf(layout: LogLayout): RecordStore {
  const segments = new Segments(blockingFiles);
  for (const { firstPosition, count, end, offsets } of layout.segments) {
    const segment = segmentAt(logPaths(layout.folder).segments, firstPosition);
    segments.add({ ...segment, count, end, offsets: offsets && new OffsetList(offsets) });
  }
  return new RecordStore(segments, new StreamHeads());
}

function openKeyring({ folder, masterKeyFile }: LogLayout): Promise<FileKeyring> {
  return openKeyringReadOnly(blockingFiles, folder, masterKeyFile);
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
