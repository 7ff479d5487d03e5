/** Opens a log's folder for writing: lock, keys, what is there, and what a crash may have left. */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { Damaged } from '../event-log.ts';
import { FileKeyring } from '../keyring/file-keyring.ts';
import { KEY_BYTES } from '../keyring/key-store.ts';
import { MasterKeyProblem, makeMasterKey, masterKeyExposure, readMasterKey } from '../keyring/master-key.ts';
import type { SealedAppend } from '../log-driver.ts';
import { decodeHeader } from '../record-format.ts';
import { openSection } from '../sealing.ts';
import { damagedAt } from './damage.ts';
import { type ActiveSegment, EmbeddedDriver, writeIndexFile } from './embedded-driver.ts';
import { diskFiles, type FileSystem } from './files.ts';
import { type Frame, LOG_ID_BYTES } from './frame.ts';
import { GrowingFile } from './growing-file.ts';
import { type LoadedLog, loadLog } from './load.ts';
import { takeLock } from './lock.ts';
import { logPaths } from './paths.ts';
import { RecordStore } from './record-store.ts';
import { listSegments } from './segments.ts';

const GROW_BYTES = 4 * 1024 * 1024;

export interface EmbeddedOptions {
  /** Folder of the log; made if there is none. */
  readonly folder: string;
  /** Default: `master.key` in the folder. */
  readonly masterKeyFile?: string;
  /** Size at which a new segment is begun, in bytes. */
  readonly segmentBytes?: number;
  /** Records that are known to have been durable, say from a published checkpoint: fewer are damage, not a torn tail. */
  readonly mustHaveAtLeast?: number;
  readonly files?: FileSystem;
  /** How long appends are turned down after a full disk before one tries again, at first. */
  readonly retryMs?: number;
}

/** What was found when the log was opened, and what was done about it. */
export interface RecoveryReport {
  /** Whether the log had been closed in order. */
  readonly closedInOrder: boolean;
  /** Records there are. */
  readonly records: number;
  /** The rest of a commit that was never acknowledged, which was cut off. */
  readonly cut:
    | { readonly file: string; readonly offset: number; readonly bytes: number; readonly records: number }
    | undefined;
  /** Index files that were made again. */
  readonly indexesMade: readonly string[];
  /** Sentences for the operator. */
  readonly warnings: readonly string[];
  readonly elapsedMs: number;
}

export interface OpenedEmbedded<Append extends SealedAppend> {
  readonly driver: EmbeddedDriver<Append>;
  readonly keyring: FileKeyring;
  readonly recovery: RecoveryReport;
}

/**
 * Opens a log for writing. Throws `LogInUse`, {@link MasterKeyProblem}, {@link Damaged}, or what the file system says.
 */
export async function openEmbedded<Append extends SealedAppend>(
  options: EmbeddedOptions,
): Promise<OpenedEmbedded<Append>> {
  const startedAt = performance.now();
  const files = options.files ?? diskFiles;
  const paths = logPaths(options.folder);
  await files.makeFolder(paths.segments);
  const lock = await takeLock(paths.lock);
  let keyring: FileKeyring | undefined;
  try {
    const masterKeyFile = options.masterKeyFile ?? paths.masterKey;
    keyring = await openKeyring(files, paths, masterKeyFile);
    const openKeys = keyring;
    const loaded = await loadLog({
      files,
      folder: paths.segments,
      logId: keyring.logId,
      accept: (frames) => keysOpen(frames, openKeys, paths.segments),
    });
    const have = loaded.segments.head + 1;
    checkNothingLost(loaded, keyring, options.mustHaveAtLeast ?? 0, paths.segments);
    const closedInOrder = have === 0 || (keyring.mark.isClean && keyring.mark.firstPosition === have);
    const cut = await cutTail(files, loaded);
    if (!closedInOrder) await rewriteLastCommit(files, loaded, keyring);
    for (const { segment, index } of loaded.unindexed) {
      await writeIndexFile(files, segment, index);
      await loaded.segments.useIndexFile(segment);
    }
    const exposure = await masterKeyExposure(masterKeyFile);
    const driver = new EmbeddedDriver<Append>({
      files,
      folder: paths.segments,
      store: new RecordStore(loaded.segments, loaded.heads),
      keyring,
      active: await openActive(files, loaded),
      segmentBytes: options.segmentBytes,
      retryMs: options.retryMs,
      onClosed: () => lock.release(),
    });
    const recovery: RecoveryReport = {
      closedInOrder,
      records: have,
      cut,
      indexesMade: loaded.unindexed.map(({ segment }) => segment.indexPath),
      warnings: exposure === undefined ? [] : [exposure],
      elapsedMs: performance.now() - startedAt,
    };
    return { driver, keyring, recovery };
  } catch (error) {
    await keyring?.close();
    lock.release();
    throw error;
  }
}

async function openKeyring(
  files: FileSystem,
  paths: ReturnType<typeof logPaths>,
  masterKeyFile: string,
): Promise<FileKeyring> {
  const masterKey = await readMasterKey(masterKeyFile);
  const hasKeyring = await FileKeyring.exists(files, paths.keyring);
  const hasSegments = (await listSegments(files, paths.segments)).length > 0;
  if (!hasKeyring && hasSegments) {
    throw new Damaged(
      `${paths.keyring} holds no keyring, but there are records in ${paths.segments}: without their keys they cannot be ` +
        'read. Put the keyring back from your backup.',
    );
  }
  if (!hasKeyring) {
    const key = masterKey ?? (await makeMasterKey(masterKeyFile));
    const keyring = await FileKeyring.create(
      { folder: paths.keyring, files, masterKey: key },
      randomBytes(LOG_ID_BYTES),
    );
    await syncNewFolders(files, path.dirname(paths.keyring));
    return keyring;
  }
  if (masterKey === undefined) {
    throw new MasterKeyProblem(
      `the master key ${masterKeyFile} is missing, and the log cannot be read without it. Put it back from your backup. ` +
        '(A new one is made only for a log that has no keyring yet.)',
    );
  }
  return FileKeyring.open({ folder: paths.keyring, files, masterKey });
}

/** Makes the names of a new log's folders durable: a file is not, before the folders above it are. */
async function syncNewFolders(files: FileSystem, folder: string): Promise<void> {
  const logFolder = path.resolve(folder);
  await files.syncFolder(logFolder);
  const dataFolder = path.dirname(logFolder);
  for (const above of [dataFolder, path.dirname(dataFolder)]) {
    // A folder that may not be opened is not one that was just made for the log.
    await files.syncFolder(above).catch(() => undefined);
  }
}

/** Whether the records of the last commit open with keys that are there. Throws if a key is there and is another. */
async function keysOpen(frames: readonly Frame[], keyring: FileKeyring, folder: string): Promise<boolean> {
  for (const frame of frames) {
    const { id } = decodeHeader(frame.header);
    for (const [index, sealed] of frame.sections.entries()) {
      const slot = frame.firstKeySlot + index;
      const state = await keyring.stateOf(slot);
      if (state === 'missing') return false;
      if (state === 'destroyed') continue;
      if (keyring.peek(slot) === undefined) await keyring.load(slot);
      const key = keyring.peek(slot);
      if (key?.length === KEY_BYTES && openSection(sealed, id, index, key)) continue;
      // Half a slot can be there only at the very end of what was written.
      if (slot === keyring.nextSlot - 1) return false;
      throw damagedAt(
        folder,
        frame.offset,
        frame.position,
        `section ${index} does not open with the key in slot ${slot}`,
      );
    }
  }
  return true;
}

/** Tells records that were lost from records that were never acknowledged. */
function checkNothingLost(loaded: LoadedLog, keyring: FileKeyring, mustHaveAtLeast: number, folder: string): void {
  const { segments, last } = loaded;
  const have = segments.head + 1;
  const file = last?.scan.segment.path ?? folder;
  const offset = last?.tail.stop ?? 0;
  if (last && last.tail.verdict.verdict === 'damaged') {
    const position = have + last.tail.records;
    throw damagedAt(file, offset, position, last.tail.verdict.what);
  }
  if (last && last.scan.highestKeySlot >= keyring.nextSlot) {
    throw damagedAt(
      file,
      offset,
      have - 1,
      `the keyring ends with slot ${keyring.nextSlot - 1}, but keys up to slot ${last.scan.highestKeySlot} were written: ` +
        'the keyring is older than the log or was cut; it too must be put back',
    );
  }
  const witness = mustHaveAtLeast > keyring.mark.firstPosition ? 'a checkpoint' : 'the keyring';
  const must = Math.max(mustHaveAtLeast, keyring.mark.firstPosition);
  if (have < must) {
    throw damagedAt(
      file,
      offset,
      have,
      `${must - have} acknowledged records are lost: ${witness} tells of ${must}, there are ${have}`,
    );
  }
}

/** Cuts off the rest of a commit that was never acknowledged. */
async function cutTail(files: FileSystem, { last }: LoadedLog): Promise<RecoveryReport['cut']> {
  if (last?.tail.verdict.verdict !== 'torn') return undefined;
  const { path: name, end } = last.scan.segment;
  const file = await files.open(name, 'write');
  try {
    await file.truncate(end);
    await file.datasync();
  } finally {
    await file.close();
  }
  return { file: name, offset: end, bytes: last.tail.verdict.bytes, records: last.tail.records };
}

/**
 * Writes the last commit again, with its keys. If its sync failed and the server was restarted, its pages may be in the
 * machine's memory, taken for clean, and not on the disk: it would be read now and be gone after a power cut.
 */
async function rewriteLastCommit(files: FileSystem, { last }: LoadedLog, keyring: FileKeyring): Promise<void> {
  const start = last?.scan.lastCommitStart;
  if (last === undefined || start === undefined) return;
  const { path: name, end } = last.scan.segment;
  const file = await files.open(name, 'write');
  try {
    const bytes = Buffer.alloc(end - start);
    await file.read(bytes, start);
    await file.write(bytes, start);
    await file.datasync();
  } finally {
    await file.close();
  }
  await keyring.rewriteTail();
}

async function openActive(files: FileSystem, { last }: LoadedLog): Promise<ActiveSegment | undefined> {
  if (last === undefined) return undefined;
  const { segment, touched } = last.scan;
  const file = await files.open(segment.path, 'write');
  const growing = new GrowingFile(file, await file.size(), GROW_BYTES);
  return { segment, growing, touched: new Set(touched.map(({ stream }) => stream)) };
}
