/**
 * Makes a data folder from a backup: the log, or the beginning of it, with its keys; erasures applied again before anything is
 * opened; all verified; the projections built; and of the media what the restored log still names. The folder has its name only
 * when all of that is done.
 *
 * The restored log is a prefix of the old one, so every checkpoint of the old one up to there still fits. From there on it goes its
 * own way, while the old log may have signed checkpoints of records that are gone: two trees that contradict each other must
 * not have one name. So the restored log signs with a new key under a new name, and the old key, where it is in the backup,
 * signs that the new one continues it.
 */
import { mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { BackupRestored } from '#projections/backups/records.ts';
import { contentDigests } from '#projections/media/projection.ts';
import { dataPaths } from '#src/data-paths.ts';
import { EvidenceFiles } from '#src/transparency/evidence-files.ts';
import { diskFiles, errorCode, type FileSystem } from '#streams/embedded/files.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import { type LogPrefix, logPrefix, type PrefixLimit } from '#streams/embedded/prefix.ts';
import { segmentAt } from '#streams/embedded/segments.ts';
import { readErasedList } from '#streams/keyring/erased-list.ts';
import { SLOTS_PER_FILE } from '#streams/keyring/key-file.ts';
import { cutKeyring, keptKeyFileName } from '#streams/keyring/keyring-copy.ts';
import { MasterKeyProblem, readMasterKey } from '#streams/keyring/master-key.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { decodeHeader } from '#streams/record-format.ts';
import { type NoteVerifier, newSignerText, parseSigner, parseVerifier } from '#streams/transparency/note.ts';
import { readSigningKey, SigningKeyError, successorName } from '#streams/transparency/signing-key.ts';
import type { PastCheckpoint } from '#streams/transparency/tile-files.ts';
import type { ErasureCheck } from '../verify/erasure-check.ts';
import { verifyFolder } from '../verify/verify-folder.ts';
import type { KnownCheckpoint } from '../verify/verify-log.ts';
import { goOn } from './go-on.ts';
import type { Manifest } from './manifest.ts';
import { pastCheckpoints } from './past-checkpoints.ts';
import { backupPaths, findGeneration, keptKeyringPaths, timestampName } from './repository.ts';
import { openMedia } from './restored-media.ts';
import { publishRestoredTree } from './restored-tree.ts';
import { BackupProblem, copyFile, readSmall, writeWhole } from './stored-files.ts';

/** What a folder is called until the restore is done. */
const UNFINISHED_SUFFIX = '.restoring';
const UNFINISHED_MARK = 'this-restore-is-not-finished';
const MAX_KEY_FILE_BYTES = 64 * 1024;

/** What is restored, and where to. */
export interface RestoreOptions {
  /** The backup's folder. */
  readonly folder: string;
  /** Where the keyring is, if not in the backup's folder. */
  readonly keyringFolder?: string;
  /** The data folder to make; must not be there, or be empty. */
  readonly to: string;
  /** Default: the latest. */
  readonly generation?: string;
  /** Cut the log there; default: all of it. */
  readonly at?: PrefixLimit;
  /** The public key of the log, where it is known from elsewhere. */
  readonly trustedKey?: string;
  /** Lists of destroyed keys that were kept apart from the backup. */
  readonly erasedLists?: readonly string[];
  readonly clock?: () => number;
  readonly files?: FileSystem;
  readonly onProgress?: (step: RestoreStep, done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What a restore is at: copying bytes, verifying and replaying records, opening files of media. */
export type RestoreStep = 'copy' | 'verify' | 'replay' | 'media';

/** What a restore did. */
export interface RestoreReport {
  readonly generation: string;
  /** Records that were kept. */
  readonly records: number;
  /** When the last of them was recorded: milliseconds since the epoch. */
  readonly recordedAtMs: number;
  /** The first checkpoint that the restored log was held against and matched; undefined where none speaks of so few records. */
  readonly firstVerifiedCheckpoint: string | undefined;
  /** Checkpoints that matched. */
  readonly checkpoints: number;
  /** Keys that the backup still had and that were destroyed again. */
  readonly erasuresApplied: number;
  readonly mediaFiles: number;
  /** Digests of media that the log names and the backup has not. */
  readonly missingMedia: readonly string[];
  readonly oldLogKey: string;
  readonly newLogKey: string;
  readonly seconds: number;
  readonly warnings: readonly string[];
}

/**
 * See the file's comment.
 * @throws {BackupProblem} with what is wrong with the backup, the place or the wish; MasterKeyProblem, Damaged.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const unfinished = `${path.resolve(options.to)}${UNFINISHED_SUFFIX}`;
  await prepare(options.to, unfinished);
  const report = await new Restore(options, unfinished).run();
  await rm(path.join(unfinished, UNFINISHED_MARK));
  await rmdir(options.to).catch(ifMissing);
  await rename(unfinished, options.to);
  await (options.files ?? diskFiles).syncFolder(path.dirname(path.resolve(options.to)));
  return report;
}

/** Makes the folder to work in, and takes away what a restore that was broken off left there. */
async function prepare(to: string, unfinished: string): Promise<void> {
  const there = await diskFiles.list(to).catch((error: unknown) => {
    throw errorCode(error) === 'ENOTDIR' ? new BackupProblem(`${to} is not a folder.`) : error;
  });
  if (there.length > 0) throw new BackupProblem(`${to} is not empty: a backup is restored to a folder of its own.`);
  const left = await diskFiles.list(unfinished);
  if (left.length > 0 && !left.includes(UNFINISHED_MARK)) {
    throw new BackupProblem(`${unfinished} is there and is not what a restore left. Move it away.`);
  }
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  await writeFile(path.join(unfinished, UNFINISHED_MARK), '');
}

class Restore {
  readonly #options: RestoreOptions;
  readonly #files: FileSystem;
  readonly #dataDir: string;
  readonly #paths: ReturnType<typeof dataPaths>;
  readonly #log: ReturnType<typeof logPaths>;
  readonly #kept: ReturnType<typeof keptKeyringPaths>;
  readonly #warnings: string[] = [];

  constructor(options: RestoreOptions, unfinished: string) {
    this.#options = options;
    this.#files = options.files ?? diskFiles;
    this.#dataDir = unfinished;
    this.#paths = dataPaths(unfinished);
    this.#log = logPaths(this.#paths.log);
    this.#kept = keptKeyringPaths(options.keyringFolder ?? backupPaths(options.folder).keyring);
  }

  async run(): Promise<RestoreReport> {
    const startedMs = performance.now();
    const { folder, generation, trustedKey, clock = Date.now } = this.#options;
    const manifest = await findGeneration(this.#files, folder, {
      ...(generation !== undefined && { id: generation }),
      ...(trustedKey !== undefined && { trustedKey }),
    });
    const masterKey = await this.#masterKey();
    const prefix = await this.#copySegments(manifest);
    const erasuresApplied = await this.#makeKeyring(manifest, prefix, masterKey);
    const history = await pastCheckpoints(this.#files, folder, manifest, prefix.records, (warning) =>
      this.#warnings.push(warning),
    );
    const newKey = newSignerText(successorName(parseVerifier(manifest.log_key).name));
    const newSigner = parseSigner(newKey);
    await this.#writeKeys(newKey);
    await publishRestoredTree({
      logFolder: this.#paths.log,
      transparencyFolder: this.#paths.transparency,
      signer: newSigner,
      history,
      oldSigner: await this.#oldSigner(manifest.log_key),
    });
    await this.#copyTimestamps(manifest, prefix.records);
    const { erasures, ...verified } = await this.#verify(manifest, history, prefix.records, newSigner.verifier);
    const restored: BackupRestored = {
      generation: manifest.id,
      records: prefix.records,
      checkpoint: manifest.checkpoint,
      oldLogKey: manifest.log_key,
      newLogKey: newSigner.verifier.text,
      erasuresApplied: erasuresApplied + countOf([...erasures.revived, ...erasures.unfinished]),
      restoredAtMs: clock(),
    };
    const { onProgress, signal } = this.#options;
    const onReplay = (done: number, total: number) => onProgress?.('replay', done, total);
    const media = await goOn({ dataDir: this.#dataDir, signer: newSigner, restored, erasures, onReplay }, (reader) =>
      openMedia({
        folder,
        mediaFolder: this.#paths.media,
        manifest,
        masterKey,
        named: new Set(contentDigests(reader)),
        files: this.#files,
        onWarning: (warning) => this.#warnings.push(warning),
        onProgress: (done, total) => onProgress?.('media', done, total),
        ...(signal && { signal }),
      }),
    );
    return {
      generation: manifest.id,
      records: prefix.records,
      recordedAtMs: prefix.recordedAtMs,
      ...verified,
      erasuresApplied: restored.erasuresApplied,
      ...media,
      oldLogKey: manifest.log_key,
      newLogKey: newSigner.verifier.text,
      seconds: (performance.now() - startedMs) / 1000,
      warnings: this.#warnings,
    };
  }

  async #masterKey(): Promise<Buffer> {
    const key = await readMasterKey(this.#kept.masterKey);
    if (key === undefined) {
      throw new MasterKeyProblem(
        `the master key ${this.#kept.masterKey} is missing: without the keyring nothing in a backup can be read. Name its folder with --keyring`,
      );
    }
    return key;
  }

  /** Copies the segments, each held against the manifest, and cuts the log where it is to end. */
  async #copySegments(manifest: Manifest): Promise<LogPrefix> {
    const { folder, onProgress, signal } = this.#options;
    await this.#files.makeFolder(this.#log.segments);
    const total = manifest.segments.reduce((sum, { bytes }) => sum + bytes, 0);
    let done = 0;
    for (const { path: name, sha256, first_position: firstPosition } of manifest.segments) {
      const from = path.join(folder, name);
      const digest = await copyFile(this.#files, from, segmentAt(this.#log.segments, firstPosition).path, {
        onBytes: (bytes) => {
          done += bytes;
          onProgress?.('copy', done, total);
        },
        ...(signal && { signal }),
      }).catch((error: unknown) => {
        throw errorCode(error) === 'ENOENT' ? new BackupProblem(`${from} is missing from the backup.`) : error;
      });
      if (digest.sha256 !== sha256) throw new BackupProblem(`${from} is not what the manifest says: it is damaged.`);
    }
    const whole = await logPrefix(this.#log.segments, { records: manifest.records });
    const prefix = this.#options.at === undefined ? whole : await this.#cut(manifest, this.#options.at);
    if (prefix.records === 0) throw new BackupProblem('nothing of the log is from before that moment.');
    return prefix;
  }

  async #cut(manifest: Manifest, at: PrefixLimit): Promise<LogPrefix> {
    if ('records' in at && at.records > manifest.records) {
      throw new BackupProblem(`generation ${manifest.id} has ${manifest.records} records, not ${at.records}.`);
    }
    const prefix = await logPrefix(this.#log.segments, at);
    const keep = new Set(prefix.segments.map(({ firstPosition }) => firstPosition));
    for (const { first_position: start } of manifest.segments) {
      if (!keep.has(start)) await this.#files.remove(segmentAt(this.#log.segments, start).path);
    }
    const last = prefix.segments.at(-1);
    if (last === undefined) return prefix;
    const file = await this.#files.open(last.path, 'write');
    try {
      await file.truncate(last.end);
      await file.datasync();
    } finally {
      await file.close();
    }
    return prefix;
  }

  async #makeKeyring(manifest: Manifest, prefix: LogPrefix, masterKey: Buffer): Promise<number> {
    const destroyed = await this.#destroyedSlots(manifest, prefix.records);
    await writeWhole(this.#files, this.#log.masterKey, [await this.#keptFile(this.#kept.masterKey)]);
    const names = manifest.key_files.filter(({ number }) => number * SLOTS_PER_FILE < prefix.nextKeySlot);
    return cutKeyring({
      sources: names.map((name) => path.join(this.#kept.keys, keptKeyFileName(name))),
      to: this.#log.keyring,
      masterKey,
      nextKeySlot: prefix.nextKeySlot,
      records: prefix.records,
      destroyed,
    }).catch((error: unknown) => {
      throw errorCode(error) === 'ENOENT'
        ? new BackupProblem(`a file of the keyring is missing in ${this.#kept.keys}: ${String(error)}`)
        : error;
    });
  }

  /** The key slots of sections that were destroyed since, by the lists that were kept apart. */
  async #destroyedSlots(manifest: Manifest, records: number): Promise<Set<number>> {
    const slots = new Set<number>();
    const log = await openLogReadOnly({ folder: this.#paths.log, withKeys: false });
    try {
      for (const file of this.#options.erasedLists ?? []) {
        const list = await readErasedList(file);
        if (list === undefined) throw new BackupProblem(`there is no list of destroyed keys in ${file}.`);
        if (list.logId.toString('hex') !== manifest.log_id) {
          throw new BackupProblem(`${file} is the list of destroyed keys of another log.`);
        }
        for (const { position, section, recordId } of list.sections) {
          const record = position < records ? await log.readRaw(position) : undefined;
          // A log that was restored before has had other records at the same positions.
          if (record === undefined || Buffer.compare(decodeHeader(record.header).id, recordId) !== 0) continue;
          if (record.firstKeySlot !== undefined) slots.add(record.firstKeySlot + section);
        }
        await this.#keepList(file);
      }
    } finally {
      await log.close();
    }
    return slots;
  }

  /** The restored log keeps the list, so that its own older backups are held against it too. */
  async #keepList(file: string): Promise<void> {
    const there = await readSmall(this.#files, this.#log.erased, Number.MAX_SAFE_INTEGER);
    const bytes = await readSmall(this.#files, file, Number.MAX_SAFE_INTEGER);
    if (bytes === undefined || (there !== undefined && there.length >= bytes.length)) return;
    await writeWhole(this.#files, this.#log.erased, [bytes]);
  }

  async #keptFile(file: string): Promise<Buffer> {
    const bytes = await readSmall(this.#files, file, MAX_KEY_FILE_BYTES);
    if (bytes === undefined) throw new BackupProblem(`${file} is missing from the keyring of the backup.`);
    return bytes;
  }

  async #writeKeys(logSigningKey: string): Promise<void> {
    await writeWhole(this.#files, this.#paths.logSigningKey, [Buffer.from(`${logSigningKey}\n`)]);
    const signingKey = path.join(path.dirname(this.#paths.logSigningKey), 'signing.key');
    await writeWhole(this.#files, signingKey, [await this.#keptFile(this.#kept.signingKey)]);
    const policyKey = await readSmall(this.#files, this.#kept.policySigningKey, MAX_KEY_FILE_BYTES);
    if (policyKey !== undefined) await writeWhole(this.#files, this.#paths.policySigningKey, [policyKey]);
  }

  /** The key that the backup was signed with, where the keyring has it still. */
  async #oldSigner(logKey: string) {
    try {
      const signer = await readSigningKey(this.#kept.logSigningKey);
      return signer.verifier.text === logKey ? signer : undefined;
    } catch (error) {
      if (error instanceof SigningKeyError) return undefined;
      throw error;
    }
  }

  /** Time stamps of checkpoints that speak of no more than what is restored. */
  async #copyTimestamps(manifest: Manifest, records: number): Promise<void> {
    const evidence = new EvidenceFiles(this.#paths.transparency);
    for (const { path: stored, sha256 } of manifest.notes) {
      const name = timestampName(stored);
      if (name === undefined || (EvidenceFiles.sizeIn(name) ?? records + 1) > records) continue;
      const from = path.join(this.#options.folder, stored);
      const digest = await copyFile(this.#files, from, evidence.timestampPath(name));
      if (digest.sha256 !== sha256) throw new BackupProblem(`${from} is not what the manifest says: it is damaged.`);
    }
  }

  async #verify(manifest: Manifest, history: readonly PastCheckpoint[], records: number, verifier: NoteVerifier) {
    const known: KnownCheckpoint[] =
      manifest.records === records ? [{ source: `generation ${manifest.id}`, text: manifest.checkpoint }] : [];
    const { onProgress, signal } = this.#options;
    const report = await verifyFolder({
      logFolder: this.#paths.log,
      transparencyFolder: this.#paths.transparency,
      verifier,
      checkpoints: known,
      onProgress: (done, total) => onProgress?.('verify', done, total),
      ...(signal && { signal }),
    });
    const { undecided, revived } = report.erasures;
    const others = report.findings.filter(({ kind }) => kind !== 'undecided' && kind !== 'revived');
    if (report.findingCount > undecided.length + revived.length) {
      const count = report.findingCount - undecided.length - revived.length;
      throw new BackupProblem(`what was restored does not verify (${count} findings): ${others[0]?.message}`);
    }
    return {
      erasures: report.erasures,
      firstVerifiedCheckpoint: history.at(-1)?.checkpoint,
      // The one that was signed for the restored log itself says nothing about the old one.
      checkpoints: report.checkpoints - 1,
    };
  }
}

function countOf(list: ErasureCheck['revived']): number {
  return list.reduce((sum, { sections }) => sum + sections.length, 0);
}

function ifMissing(error: unknown): undefined {
  if (errorCode(error) === 'ENOENT') return undefined;
  throw error;
}
