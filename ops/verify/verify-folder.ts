/** Verifies the log in a data folder, whether a server writes it at the moment or not. */
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { blockingFiles } from '#streams/embedded/files.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import { listSegments, segmentAt } from '#streams/embedded/segments.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import type { ReadOnlyLog } from '#streams/raw-log.ts';
import { readCheckpoint } from '#streams/transparency/checkpoint.ts';
import type { NoteVerifier } from '#streams/transparency/note.ts';
import { remakeTiles } from '#streams/transparency/tile-check.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { checkErasures, type ErasureCheck, findingsOf, NO_ERASURES } from './erasure-check.ts';
import { type Finding, MAX_NAMED_FINDINGS } from './finding.ts';
import { verifyChunk } from './verify-chunk.ts';
import { type KnownCheckpoint, type VerifyOptions, type VerifyReport, verifyLog } from './verify-log.ts';
import { VerifyWorkers } from './worker-pool.ts';

/** Most threads. */
export const MAX_WORKERS = 64;
/** Bytes of segments, what is preallocated included, from which on threads are worth their start. */
const MIN_BYTES_FOR_WORKERS = 16 * 1024 * 1024;

/** What is verified, and how. */
export interface VerifyFolderOptions {
  readonly logFolder: string;
  readonly transparencyFolder: string;
  /** The log's public key, where it can be had. */
  readonly verifier?: NoteVerifier;
  /** First record to read. Default 0. */
  readonly from?: number;
  /** Checkpoints kept elsewhere. */
  readonly checkpoints?: readonly KnownCheckpoint[];
  /** Whether sections are opened with their keys. Default true. */
  readonly opens?: boolean;
  /** Whether opened PDUs are hashed and compared with their event ids. Default false. */
  readonly checksEvents?: boolean;
  /** Threads. Default one for each processor. */
  readonly workers?: number;
  readonly onProgress?: (records: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What verification found, with what of it is about destroyed keys; that is in the findings too. */
export interface FolderReport extends VerifyReport {
  readonly erasures: ErasureCheck;
}

/** See the file's comment. Throws what openLogReadOnly throws. */
export async function verifyFolder(options: VerifyFolderOptions): Promise<FolderReport> {
  const opens = options.opens ?? true;
  const workers = (await isLarge(options.logFolder)) ? startWorkers(options, opens) : undefined;
  try {
    const damage: Finding[] = [];
    const log = await openLogReadOnly({
      folder: options.logFolder,
      withKeys: opens,
      files: blockingFiles,
      onDamage: ({ message }) => damage.push({ kind: 'damaged', message }),
    });
    try {
      const destroyed = new Uint8Array(log.head() + 1);
      const told = { ...options, onDestroyed: (from: number, masks: Uint8Array) => destroyed.set(masks, from) };
      const report = await (workers ? verifyInWorkers(log, workers, told, opens) : verifyHere(log, told, opens));
      const erasures = opens ? await checkErasures(log, report.from, destroyed) : NO_ERASURES;
      const about = findingsOf(erasures);
      return {
        ...report,
        erasures,
        findings: [...damage, ...report.findings, ...about.slice(0, MAX_NAMED_FINDINGS)],
        findingCount: report.findingCount + damage.length + about.length,
      };
    } finally {
      await log.close();
    }
  } finally {
    await workers?.close();
  }
}

type ToldOptions = VerifyFolderOptions & Pick<VerifyOptions, 'onDestroyed'>;

/** Whether verifying the log takes longer than starting threads for it. */
async function isLarge(logFolder: string): Promise<boolean> {
  const folder = logPaths(logFolder).segments;
  let bytes = 0;
  for (const start of await listSegments(blockingFiles, folder)) {
    bytes += (await stat(segmentAt(folder, start).path)).size;
    if (bytes >= MIN_BYTES_FOR_WORKERS) return true;
  }
  return false;
}

function startWorkers(options: VerifyFolderOptions, opens: boolean): VerifyWorkers {
  return new VerifyWorkers(Math.min(options.workers ?? availableParallelism(), MAX_WORKERS), {
    transparencyFolder: options.transparencyFolder,
    opens,
    checksContent: options.checksEvents ?? false,
  });
}

async function verifyHere(log: ReadOnlyLog, options: ToldOptions, opens: boolean): Promise<VerifyReport> {
  const files = new TileFiles(options.transparencyFolder);
  const checkContent = options.checksEvents ? (await import('./pdu-check.ts')).checkPduRecord : undefined;
  return verifyLog({
    ...options,
    size: log.head() + 1,
    files,
    opens,
    lanes: 1,
    verifyChunk: (request) => verifyChunk(log, files, request, checkContent),
  });
}

async function verifyInWorkers(
  log: ReadOnlyLog,
  workers: VerifyWorkers,
  options: ToldOptions,
  opens: boolean,
): Promise<VerifyReport> {
  workers.open(log.layout());
  return verifyLog({
    ...options,
    size: log.head() + 1,
    files: new TileFiles(options.transparencyFolder),
    opens,
    lanes: workers.count,
    verifyChunk: (request) => workers.verifyChunk(request),
  });
}

/**
 * Makes tiles that are missing or damaged again from the log, where the log has the published root. Gives how many.
 * Throws HistoryContradicted where it has not.
 */
export async function repairTiles(
  options: Pick<VerifyFolderOptions, 'logFolder' | 'transparencyFolder' | 'onProgress' | 'signal'>,
): Promise<number> {
  const files = new TileFiles(options.transparencyFolder);
  const text = await files.checkpoint();
  if (text === undefined) return 0;
  const log = await openLogReadOnly({ folder: options.logFolder, withKeys: false });
  try {
    const leaves = { size: () => log.head() + 1, readLeaves: (index: number) => log.readLeaves(index - 1) };
    const head = readCheckpoint(text);
    const remade = await remakeTiles(files, leaves, head, {
      onProgress: (done) => options.onProgress?.(done, head.size),
      ...(options.signal && { signal: options.signal }),
    });
    return remade.length;
  } finally {
    await log.close();
  }
}
