/** How many records a second the log makes durable: 600 bytes in two sections, sealed, from many writers at once. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { diskFiles, type OpenFile } from '#streams/embedded/files.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import { openLog } from '#streams/open-log.ts';
import type { RawRecord } from '#streams/raw-log.ts';
import type { BenchResult } from './result.ts';

/** Writers, each with a stream of its own, each waiting for its append before the next. */
const WRITERS = 1024;
const SECTION_BYTES = [350, 250] as const;
const WARM_UP_MS = 1000;
const MEASURE_MS = 4000;
const KEY_BYTES = 32;
/** What a frame adds to header and sections: prefix, fixed fields, one length a section. */
const FRAME_BYTES = 41 + 4 * SECTION_BYTES.length;
/** The bare files are overwritten from the start when they are full. */
const CEILING_FILE_BYTES = 32 * 1024 * 1024;

export async function runAppendBench(): Promise<BenchResult> {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-bench-append-'));
  try {
    const run = await appendForAWhile(folder);
    const bareRate = await bareWrites(folder, run);
    const rate = run.records / run.seconds;
    return {
      name: 'log append, 600-byte records, sealed, group commit',
      figure: rate,
      unit: 'records/s',
      ceiling: bareRate,
      ceilingName: 'bare write + fdatasync of the same batches',
      ratio: rate / bareRate,
      details: {
        writers: WRITERS,
        commits: run.batches.length,
        'records a commit': Math.round(run.records / run.batches.length),
        'p50 ms': round(quantile(run.latenciesMs, 0.5)),
        'p99 ms': round(quantile(run.latenciesMs, 0.99)),
        'main thread µs a record': round(run.mainThreadUs / run.records),
        'bytes on disk a record': run.recordBytes + KEY_BYTES * SECTION_BYTES.length,
      },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Run {
  readonly records: number;
  readonly seconds: number;
  /** Records of each commit. */
  readonly batches: readonly number[];
  readonly latenciesMs: readonly number[];
  readonly recordBytes: number;
  /** CPU time of the thread that appends: what the rate is bound by when nothing else runs on the machine. */
  readonly mainThreadUs: number;
}

async function appendForAWhile(folder: string): Promise<Run> {
  const batches: number[] = [];
  const latenciesMs: number[] = [];
  let measuring = false;
  let running = true;
  const log = await openLog({
    folder: path.join(folder, 'log'),
    onCommit: (leaves) => {
      if (measuring) batches.push(leaves.length);
    },
  });
  const sections = SECTION_BYTES.map((length) => randomBytes(length));
  const ids = randomBytes(16);
  let nextId = 0;
  const draft = (): RecordDraft => {
    // A new id is all that differs: making it must not be what is measured.
    const id = Buffer.from(ids);
    id.writeUInt32BE(nextId++);
    return { id, kind: 'pdu', version: 1, sections };
  };
  const writers = Array.from({ length: WRITERS }, async (_, writer) => {
    const stream = `room-${String(writer).padStart(12, '0')}`;
    for (let revision = -1; running; revision++) {
      const startedMs = performance.now();
      await log.append(stream, revision, [draft()]);
      if (measuring) latenciesMs.push(performance.now() - startedMs);
    }
  });
  await wait(WARM_UP_MS);
  measuring = true;
  const startedMs = performance.now();
  const cpuBefore = process.threadCpuUsage();
  await wait(MEASURE_MS);
  measuring = false;
  const { user, system } = process.threadCpuUsage(cpuBefore);
  const seconds = (performance.now() - startedMs) / 1000;
  running = false;
  await Promise.all(writers);
  const one = await log.readRaw(0);
  await log.close();
  if (one === undefined) throw new Error('nothing was appended');
  const mainThreadUs = user + system;
  return { records: latenciesMs.length, seconds, batches, latenciesMs, recordBytes: frameBytes(one), mainThreadUs };
}

/** Writes batches of the same sizes to two preallocated files and syncs both, as the log does, and nothing else. */
async function bareWrites(folder: string, run: Run): Promise<number> {
  const records = await zeroFile(path.join(folder, 'bare-records'));
  const keys = await zeroFile(path.join(folder, 'bare-keys'));
  const bytes = randomBytes(Math.max(...run.batches) * run.recordBytes);
  let recordsAt = 0;
  let keysAt = 0;
  const startedMs = performance.now();
  for (const count of run.batches) {
    const recordBytes = bytes.subarray(0, count * run.recordBytes);
    const keyBytes = bytes.subarray(0, (count * SECTION_BYTES.length + 1) * KEY_BYTES);
    if (recordsAt + recordBytes.length > CEILING_FILE_BYTES) recordsAt = 0;
    if (keysAt + keyBytes.length > CEILING_FILE_BYTES) keysAt = 0;
    await Promise.all([writeSynced(records, recordBytes, recordsAt), writeSynced(keys, keyBytes, keysAt)]);
    recordsAt += recordBytes.length;
    keysAt += keyBytes.length;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  await Promise.all([records.close(), keys.close()]);
  return run.batches.reduce((sum, count) => sum + count, 0) / seconds;
}

async function writeSynced(file: OpenFile, bytes: Buffer, at: number): Promise<void> {
  await file.write(bytes, at);
  await file.datasync();
}

async function zeroFile(name: string): Promise<OpenFile> {
  const file = await diskFiles.open(name, 'create');
  await file.write(Buffer.alloc(CEILING_FILE_BYTES), 0);
  await file.datasync();
  return file;
}

function frameBytes({ header, sealedSections }: RawRecord): number {
  const bytes = FRAME_BYTES + header.length + sealedSections.reduce((sum, section) => sum + section.length, 0);
  return Math.ceil(bytes / 8) * 8;
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
