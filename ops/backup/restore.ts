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
import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BACKUP_RESTORED, BACKUPS_STREAM, type BackupRestored, backupRecord } from '#projections/backups/records.ts';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { contentDigests } from '#projections/media/projection.ts';
import { dataPaths } from '#src/data-paths.ts';
import { diskFiles, errorCode, type FileSystem } from '#streams/embedded/files.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import { type LogPrefix, logPrefix, type PrefixLimit } from '#streams/embedded/prefix.ts';
import { segmentAt } from '#streams/embedded/segments.ts';
import { readErasedList } from '#streams/keyring/erased-list.ts';
import { SLOTS_PER_FILE } from '#streams/keyring/key-file.ts';
import { cutKeyring, keptKeyFileName } from '#streams/keyring/keyring-copy.ts';
import { MasterKeyProblem, readMasterKey } from '#streams/keyring/master-key.ts';
import { openLog, openLogReadOnly } from '#streams/open-log.ts';
import { decodeHeader } from '#streams/record-format.ts';
import { readCheckpoint } from '#streams/transparency/checkpoint.ts';
import { type NoteVerifier, newSignerText, parseSigner, parseVerifier } from '#streams/transparency/note.ts';
import { readSigningKey, SigningKeyError, successorName } from '#streams/transparency/signing-key.ts';
import type { PastCheckpoint } from '#streams/transparency/tile-files.ts';
import { TransparencyLog } from '#streams/transparency/transparency-log.ts';
import { verifyFolder } from '../verify/verify-folder.ts';
import type { KnownCheckpoint } from '../verify/verify-log.ts';
import type { Manifest, MediaLine } from './manifest.ts';
import {
  backupPaths,
  findGeneration,
  keptKeyringPaths,
  listGenerations,
  readManifest,
  readMediaList,
} from './repository.ts';
import { publishRestoredTree } from './restored-tree.ts';
import { unseal } from './sealed-media.ts';
import { BackupProblem, copyFile, digestOf, readSmall, writeWhole } from './stored-files.ts';

/** What a folder is called until the restore is done. */
const UNFINISHED_SUFFIX = '.restoring';
const UNFINISHED_MARK = 'this-restore-is-not-finished';
const MAX_KEY_FILE_BYTES = 64 * 1024;
const MAX_HISTORY_BYTES = 256 * 1024 * 1024;
const RECORD_ID_BYTES = 16;

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
  readonly #paths: ReturnType<typeof dataPaths>;
  readonly #log: ReturnType<typeof logPaths>;
  readonly #kept: ReturnType<typeof keptKeyringPaths>;
  readonly #warnings: string[] = [];

  constructor(options: RestoreOptions, unfinished: string) {
    this.#options = options;
    this.#files = options.files ?? diskFiles;
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
    const history = await this.#history(manifest, prefix.records);
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
    const verified = await this.#verify(manifest, history, prefix.records, newSigner.verifier);
    const restoredAtMs = clock();
    const media = await this.#goOn(manifest, masterKey, {
      generation: manifest.id,
      records: prefix.records,
      checkpoint: manifest.checkpoint,
      oldLogKey: manifest.log_key,
      newLogKey: newSigner.verifier.text,
      erasuresApplied,
      restoredAtMs,
    });
    return {
      generation: manifest.id,
      records: prefix.records,
      recordedAtMs: prefix.recordedAtMs,
      ...verified,
      erasuresApplied,
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

  /** Checkpoints of the old log that speak of no more than what is restored, oldest first. */
  async #history(manifest: Manifest, records: number): Promise<PastCheckpoint[]> {
    const { folder } = this.#options;
    const entries: PastCheckpoint[] = [];
    const note = manifest.notes.find(({ path: name }) => name.endsWith('/checkpoints.jsonl'));
    if (note !== undefined) {
      const file = path.join(folder, note.path);
      if ((await digestOf(this.#files, file))?.sha256 !== note.sha256) {
        throw new BackupProblem(`${file} is missing or not what the manifest says.`);
      }
      const text = (await readSmall(this.#files, file, MAX_HISTORY_BYTES))?.toString('utf8') ?? '';
      for (const line of text.split('\n')) if (line !== '') entries.push(JSON.parse(line) as PastCheckpoint);
    }
    for (const id of await listGenerations(this.#files, folder)) {
      if (id > manifest.id) break;
      const other = await readManifest(this.#files, folder, id).catch((error: unknown) => {
        if (!(error instanceof BackupProblem)) throw error;
        this.#warnings.push(error.message);
        return undefined;
      });
      if (other?.log_id !== manifest.log_id || other.log_key !== manifest.log_key) continue;
      entries.push({ publishedAtMs: other.made_at_ms, checkpoint: other.checkpoint });
    }
    return entries
      .filter(({ checkpoint }) => readCheckpoint(checkpoint).size <= records)
      .sort((a, b) => readCheckpoint(a.checkpoint).size - readCheckpoint(b.checkpoint).size);
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
    if (report.findingCount > 0) {
      const [first] = report.findings;
      throw new BackupProblem(`what was restored does not verify (${report.findingCount} findings): ${first?.message}`);
    }
    return {
      firstVerifiedCheckpoint: history.at(-1)?.checkpoint,
      // The one that was signed for the restored log itself says nothing about the old one.
      checkpoints: report.checkpoints - 1,
    };
  }

  /** Lets the log go on: the record of the restore, the projections, the media. */
  async #goOn(
    manifest: Manifest,
    masterKey: Buffer,
    restored: BackupRestored,
  ): Promise<{ mediaFiles: number; missingMedia: string[] }> {
    const signer = await readSigningKey(this.#paths.logSigningKey);
    let transparency: TransparencyLog | undefined;
    const log = await openLog({
      folder: this.#paths.log,
      mustHaveAtLeast: restored.records,
      onCommit: (leaves) => transparency?.add(leaves),
    });
    try {
      transparency = await TransparencyLog.open({
        folder: this.#paths.transparency,
        signer,
        leaves: { size: () => log.head() + 1, readLeaves: (index) => log.readLeaves(index - 1) },
      });
      await log.append(BACKUPS_STREAM, await log.revisionOf(BACKUPS_STREAM), [
        backupRecord(randomBytes(RECORD_ID_BYTES), { kind: BACKUP_RESTORED, fields: restored }),
      ]);
      const engine = await ProjectionEngine.open({
        dir: this.#paths.projections,
        log,
        projections: coreProjections,
        safeCopies: false,
        onProgress: ({ position, head }) => this.#options.onProgress?.('replay', position + 1, head + 1),
      });
      try {
        return await this.#openMedia(manifest, masterKey, new Set(contentDigests(engine.reader)));
      } finally {
        await engine.close();
      }
    } finally {
      await transparency?.close();
      await log.close();
    }
  }

  /** Opens the media that the restored log names, from this generation or an older one. */
  async #openMedia(
    manifest: Manifest,
    masterKey: Buffer,
    named: ReadonlySet<string>,
  ): Promise<{ mediaFiles: number; missingMedia: string[] }> {
    const lines = await this.#mediaOf(manifest, named);
    const missingMedia: string[] = [];
    let done = 0;
    for (const content of named) {
      this.#options.signal?.throwIfAborted();
      const line = lines.get(content);
      if (line === undefined || !(await this.#openContent(line, masterKey))) missingMedia.push(content);
      this.#options.onProgress?.('media', ++done, named.size);
    }
    return { mediaFiles: named.size - missingMedia.length, missingMedia };
  }

  async #mediaOf(manifest: Manifest, named: ReadonlySet<string>): Promise<Map<string, MediaLine>> {
    const { folder } = this.#options;
    const lines = new Map<string, MediaLine>();
    for (const id of (await listGenerations(this.#files, folder)).toReversed()) {
      const other = id === manifest.id ? manifest : await readManifest(this.#files, folder, id).catch(() => undefined);
      if (other?.log_id !== manifest.log_id) continue;
      for (const line of await readMediaList(this.#files, folder, other).catch(() => [])) {
        if (named.has(line.content) && !lines.has(line.content)) lines.set(line.content, line);
      }
    }
    return lines;
  }

  async #openContent({ content, path: name }: MediaLine, masterKey: Buffer): Promise<boolean> {
    const target = path.join(this.#paths.media, content.slice(0, 2), content.slice(2));
    const file = await this.#files.open(path.join(this.#options.folder, name), 'read').catch(ifMissing);
    if (file === undefined) return false;
    try {
      const digest = await writeWhole(this.#files, target, unseal(file, masterKey, content), this.#options.signal);
      if (digest.sha256 === content) return true;
      await this.#files.remove(target);
      this.#warnings.push(`${name} does not hold what its place says; it was left out.`);
      return false;
    } catch (error) {
      if (!(error instanceof BackupProblem) || error.cause !== undefined) throw error;
      this.#warnings.push(error.message);
      return false;
    } finally {
      await file.close();
    }
  }
}

function ifMissing(error: unknown): undefined {
  if (errorCode(error) === 'ENOENT') return undefined;
  throw error;
}
