/** How fast `stele verify` reads a log: every record hashed and opened, every tile and root compared. */

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { type OpenLog, openLog } from '#streams/open-log.ts';
import { SEAL_BYTES } from '#streams/sealing.ts';
import { openSigningKey } from '#streams/transparency/signing-key.ts';
import { TransparencyLog } from '#streams/transparency/transparency-log.ts';
import { type VerifyFolderOptions, verifyFolder } from '../verify/verify-folder.ts';
import type { BareHashTask } from './bare-hash.ts';
import type { BenchResult } from './result.ts';

/** What a message of some 600 bytes is in the log: what redaction keeps of it, and its content. */
const SECTION_BYTES = [450, 150] as const;
/** Header of a record in a room's stream, about. */
const HEADER_BYTES = 60;
const ROOMS = 100;
const RECORDS_PER_APPEND = 100;
const APPENDS_AT_ONCE = 50;

export interface VerifyBenchOptions {
  /** Default 500,000. */
  readonly records?: number;
  /** Threads; default one for each processor. */
  readonly workers?: number;
}

/** Writes a log, verifies it with and without opening sections, and hashes as much with nothing else. */
export async function runVerifyBench(options: VerifyBenchOptions = {}): Promise<BenchResult> {
  const records = options.records ?? 500_000;
  const workers = options.workers ?? availableParallelism();
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-bench-verify-'));
  try {
    const target = {
      logFolder: path.join(folder, 'log'),
      transparencyFolder: path.join(folder, 'transparency'),
      workers,
    };
    const written = await rate(records, () => writeLog(folder, target, records));
    // Once before and once after: what else the machine does changes from second to second.
    const before = await rate(records, () => hashed(records, workers));
    const figure = await rate(records, () => verified(target, records));
    const after = await rate(records, () => hashed(records, workers));
    const ceiling = Math.round((before + after) / 2);
    const withoutOpening = await rate(records, () => verified({ ...target, opens: false }, records));
    return {
      name: 'verify a log',
      figure,
      unit: 'records/s',
      ceiling,
      ceilingName: `bare SHA-256 of the same bytes, ${workers} threads`,
      ratio: figure / ceiling,
      details: { records, workers, 'without opening sections': withoutOpening, 'written, records/s': written },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function rate(records: number, work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return Math.round((1000 * records) / (performance.now() - startedMs));
}

async function verified(target: VerifyFolderOptions, records: number): Promise<void> {
  const report = await verifyFolder(target);
  if (report.findingCount > 0 || report.records !== records || report.checkpoints === 0) {
    throw new Error(`the log of the benchmark did not verify: ${JSON.stringify(report)}`);
  }
}

async function writeLog(
  folder: string,
  { logFolder, transparencyFolder }: VerifyFolderOptions,
  records: number,
): Promise<void> {
  let tree: TransparencyLog | undefined;
  const log = await openLog({ folder: logFolder, onCommit: (leaves) => tree?.add(leaves) });
  try {
    const keyFile = path.join(folder, 'log-signing.key');
    tree = await TransparencyLog.open({
      folder: transparencyFolder,
      signer: await openSigningKey({ keyFile, origin: 'bench.invalid/stele-log', folder: transparencyFolder }),
      leaves: { size: () => log.head() + 1, readLeaves: (index) => log.readLeaves(index - 1) },
    });
    await appendAll(log, records);
    await tree.close();
  } finally {
    await log.close();
  }
}

async function appendAll(log: OpenLog, records: number): Promise<void> {
  const revisions = new Array<number>(ROOMS).fill(-1);
  let underWay: Promise<unknown>[] = [];
  for (let next = 0; next < records; next += RECORDS_PER_APPEND) {
    const count = Math.min(RECORDS_PER_APPEND, records - next);
    const room = (next / RECORDS_PER_APPEND) % ROOMS;
    const drafts = Array.from({ length: count }, (_, i) => ({
      id: recordId(next + i),
      kind: 'pdu',
      version: 1,
      sections: SECTION_BYTES.map((bytes) => Buffer.alloc(bytes, next + i)),
    }));
    underWay.push(log.append(`room-${room}`, revisions[room] ?? -1, drafts));
    revisions[room] = (revisions[room] ?? -1) + count;
    if (underWay.length < APPENDS_AT_ONCE) continue;
    await Promise.all(underWay);
    underWay = [];
  }
  await Promise.all(underWay);
}

function recordId(number: number): Buffer {
  const id = Buffer.alloc(16);
  id.writeUIntBE(number, 0, 6);
  return id;
}

async function hashed(records: number, workers: number): Promise<void> {
  const digests = SECTION_BYTES.length * 32;
  const lengths = [...SECTION_BYTES.map((bytes) => bytes + SEAL_BYTES), 1 + HEADER_BYTES + digests, 65];
  const workerData: BareHashTask = { lengths, records: Math.ceil(records / workers) };
  const threads = Array.from(
    { length: workers },
    () => new Worker(new URL('./bare-hash.ts', import.meta.url), { workerData }),
  );
  await Promise.all(threads.map((thread) => once(thread, 'exit')));
}
