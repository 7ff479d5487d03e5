/**
 * Makes a generation of a backup, beside the server that writes or without one: the log up to a published checkpoint, its keys,
 * the media, and what is needed to go on from them. Whatever is in the folder already and is what it should be stays.
 */
import path from 'node:path';
import { dataPaths } from '#src/data-paths.ts';
import { EvidenceFiles } from '#src/transparency/evidence-files.ts';
import { diskFiles, type FileSystem } from '#streams/embedded/files.ts';
import { readLogId } from '#streams/embedded/log-id.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import { type LogPrefix, logPrefix } from '#streams/embedded/prefix.ts';
import { type KeyFileName, keyFileNames, mirrorKeyring } from '#streams/keyring/keyring-copy.ts';
import { MasterKeyProblem, readMasterKey } from '#streams/keyring/master-key.ts';
import { type Checkpoint, openCheckpoint } from '#streams/transparency/checkpoint.ts';
import type { NoteSigner } from '#streams/transparency/note.ts';
import { readSigningKey } from '#streams/transparency/signing-key.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { removeErasedMedia } from './erased-media.ts';
import { type Manifest, type MediaLine, type StoredFile, signManifest } from './manifest.ts';
import { type Content, listContents, MediaCopy } from './media-copy.ts';
import {
  backupPaths,
  generationId,
  keptKeyringPaths,
  listGenerations,
  lockBackup,
  manifestPath,
  pathInGeneration,
  readManifest,
  readMediaList,
  timestampPath,
} from './repository.ts';
import { BackupProblem, copyFile, type Digest, digestOf, type OnBytes, readSmall, writeWhole } from './stored-files.ts';

/** Largest key file, in bytes: all are a line or two. */
const MAX_KEY_FILE_BYTES = 64 * 1024;

/** What is backed up, and where to. */
export interface BackupOptions {
  readonly dataDir: string;
  readonly serverName: string;
  /** The key that signs events. */
  readonly signingKeyFile: string;
  /** The key with which this server signs as a policy server, where it is one. */
  readonly policyKeyFile?: string | undefined;
  /** The backup's folder; made if it is not there. */
  readonly folder: string;
  /** Where the keyring is kept; default in the backup's folder; null to leave it out. */
  readonly keyringFolder?: string | null;
  /** Default true. */
  readonly withMedia?: boolean;
  /** The settings as they are, without secrets. */
  readonly settings: unknown;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly clock?: () => number;
  readonly files?: FileSystem;
  readonly onProgress?: (bytes: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Files and their bytes. */
export interface Tally {
  files: number;
  bytes: number;
}

/** What making a generation did. */
export interface BackupReport {
  readonly id: string;
  readonly checkpoint: string;
  readonly records: number;
  /** Written now. */
  readonly copied: Tally;
  /** There already, and found to be what it should be. */
  readonly kept: Tally;
  readonly mediaFiles: number;
  /** Files of media that were destroyed since, and are removed from all generations. */
  readonly mediaErased: number;
  /** Null where the keyring was left out. */
  readonly keys: { readonly added: number; readonly destroyed: number } | null;
  /** Sentences for the operator. */
  readonly warnings: readonly string[];
}

/**
 * See the file's comment.
 * @throws {BackupProblem} with what to do; `Damaged` where the log is not what was published.
 */
export async function makeBackup(options: BackupOptions): Promise<BackupReport> {
  const files = options.files ?? diskFiles;
  const lock = await lockBackup(files, options.folder);
  try {
    return await new Backup(options, files).run();
  } finally {
    lock.release();
  }
}

class Backup {
  readonly #options: BackupOptions;
  readonly #files: FileSystem;
  readonly #paths: ReturnType<typeof dataPaths>;
  readonly #copied: Tally = { files: 0, bytes: 0 };
  readonly #kept: Tally = { files: 0, bytes: 0 };
  readonly #warnings: string[] = [];
  #total = 0;
  #done = 0;

  constructor(options: BackupOptions, files: FileSystem) {
    this.#options = options;
    this.#files = files;
    this.#paths = dataPaths(options.dataDir);
  }

  async run(): Promise<BackupReport> {
    const { folder, serverName, clock = Date.now } = this.#options;
    const signer = await readSigningKey(this.#paths.logSigningKey);
    const { text, checkpoint } = await this.#checkpoint(signer);
    const log = logPaths(this.#paths.log);
    const prefix = await logPrefix(log.segments, checkpoint.size === 0 ? { records: 0 } : { records: checkpoint.size });
    if (prefix.records !== checkpoint.size || prefix.records === 0) {
      throw new BackupProblem(
        checkpoint.size === 0
          ? 'nothing was recorded yet: there is nothing to back up.'
          : `${checkpoint.size} records are published, but the log has a whole commit only up to ${prefix.records}. Run \`stele verify\`.`,
      );
    }
    const present = await listContents(this.#files, this.#paths.media);
    const contents = this.#options.withMedia === false ? [] : present;
    const madeAtMs = clock();
    const id = generationId(madeAtMs, prefix.records);
    const latest = await this.#latest();
    const mediaBytes = contents.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#total = mediaBytes + prefix.segments.reduce((sum, { end }) => sum + end, 0);
    const segments = await this.#copySegments(prefix, latest);
    const keys = await this.#copyKeyring(prefix.nextKeySlot);
    const masterKey = await this.#masterKey();
    const media = await this.#copyMedia(contents, masterKey, latest);
    const { signal } = this.#options;
    const mediaErased = await removeErasedMedia({
      files: this.#files,
      logFolder: this.#paths.log,
      folder,
      masterKey,
      present: new Set(present.map(({ sha256 }) => sha256)),
      ...(signal && { signal }),
    });
    const manifest: Manifest = {
      format: 'stele-backup/1',
      id,
      server_name: serverName,
      made_at_ms: madeAtMs,
      log_id: (await readLogId(this.#files, prefix.segments[0]?.path ?? '')).toString('hex'),
      log_key: signer.verifier.text,
      checkpoint: text,
      records: prefix.records,
      recorded_at_ms: prefix.recordedAtMs,
      next_key_slot: prefix.nextKeySlot,
      segments,
      media: this.#options.withMedia === false ? null : await this.#writeMediaList(id, media),
      notes: await this.#writeNotes(id),
      key_files: [...keys.files],
    };
    const note = Buffer.from(signManifest(manifest, signer));
    await writeWhole(this.#files, path.join(folder, manifestPath(id)), [note], this.#options.signal);
    return {
      id,
      checkpoint: text,
      records: prefix.records,
      copied: this.#copied,
      kept: this.#kept,
      mediaFiles: media.length,
      mediaErased,
      keys: keys.mirrored ?? null,
      warnings: this.#warnings,
    };
  }

  async #checkpoint(signer: NoteSigner): Promise<{ text: string; checkpoint: Checkpoint }> {
    const text = await new TileFiles(this.#paths.transparency).checkpoint();
    if (text === undefined) throw new BackupProblem('nothing is published yet: start the server once.');
    return { text, checkpoint: openCheckpoint(text, signer.verifier) };
  }

  async #masterKey(): Promise<Buffer> {
    const file = logPaths(this.#paths.log).masterKey;
    const key = await readMasterKey(file);
    if (key === undefined)
      throw new MasterKeyProblem(`the master key ${file} is missing; put it back from your backup`);
    return key;
  }

  /** The generation before, where it is of the same log; undefined where there is none that can be read. */
  async #latest(): Promise<Manifest | undefined> {
    const id = (await listGenerations(this.#files, this.#options.folder)).at(-1);
    if (id === undefined) return undefined;
    try {
      return await readManifest(this.#files, this.#options.folder, id);
    } catch (error) {
      if (!(error instanceof BackupProblem)) throw error;
      this.#warnings.push(error.message);
      return undefined;
    }
  }

  async #copySegments(prefix: LogPrefix, latest: Manifest | undefined): Promise<Manifest['segments']> {
    const stored: Manifest['segments'] = [];
    for (const [place, { path: file, firstPosition, end }] of prefix.segments.entries()) {
      const { signal } = this.#options;
      const digest = await digestOf(this.#files, file, { end, onBytes: this.#onBytes, ...(signal && { signal }) });
      if (digest === undefined) throw new BackupProblem(`${file} is gone. Run \`stele verify\`.`);
      const name = `segments/${String(firstPosition).padStart(16, '0')}-${digest.sha256.slice(0, 16)}.seg`;
      await this.#put(name, digest, (target) =>
        copyFile(this.#files, file, target, { end, ...(signal && { signal }) }),
      );
      const before = latest?.segments.findIndex(({ first_position }) => first_position === firstPosition) ?? -1;
      const wasWhole = latest !== undefined && before >= 0 && before < latest.segments.length - 1;
      const isWhole = place < prefix.segments.length - 1;
      if (wasWhole && isWhole && latest.segments[before]?.sha256 !== digest.sha256) {
        this.#warnings.push(
          `${file} is not what it was in generation ${latest.id}, though it was finished then: run \`stele verify\` now. ` +
            'The older generations keep what it was.',
        );
      }
      stored.push({ path: name, ...digest, first_position: firstPosition });
    }
    return stored;
  }

  /** Leaves a file that is what it should be, and writes any other. */
  async #put(name: string, wanted: Digest, write: (target: string) => Promise<Digest>): Promise<void> {
    const target = path.join(this.#options.folder, name);
    const { signal } = this.#options;
    const there = await digestOf(this.#files, target, signal ? { signal } : {});
    if (there?.sha256 === wanted.sha256) {
      this.#count(this.#kept, wanted.bytes);
      return;
    }
    if (there !== undefined) this.#warnings.push(`${target} was damaged, and was written again.`);
    const written = await write(target);
    if (written.sha256 !== wanted.sha256) throw new BackupProblem(`${target} changed while it was written.`);
    this.#count(this.#copied, written.bytes);
  }

  async #copyKeyring(nextKeySlot: number): Promise<{
    readonly files: readonly KeyFileName[];
    readonly mirrored?: { readonly added: number; readonly destroyed: number };
  }> {
    const { folder, keyringFolder = backupPaths(folder).keyring, signingKeyFile, policyKeyFile } = this.#options;
    const log = logPaths(this.#paths.log);
    if (keyringFolder === null) return { files: await keyFileNames(log.keyring, nextKeySlot, this.#files) };
    const kept = keptKeyringPaths(keyringFolder);
    await this.#keepMasterKey(log.masterKey, kept.masterKey);
    const mirrored = await mirrorKeyring({ from: log.keyring, to: kept.keys, nextKeySlot, files: this.#files });
    await this.#keepKeyFile(this.#paths.logSigningKey, kept.logSigningKey);
    await this.#keepKeyFile(signingKeyFile, kept.signingKey);
    // It is made when the server is first started as a policy server.
    const hasPolicyKey =
      policyKeyFile !== undefined && (await readSmall(this.#files, policyKeyFile, MAX_KEY_FILE_BYTES));
    if (hasPolicyKey) await this.#keepKeyFile(policyKeyFile, kept.policySigningKey);
    return { files: mirrored.files, mirrored };
  }

  async #keepMasterKey(from: string, to: string): Promise<void> {
    const there = await readSmall(this.#files, to, MAX_KEY_FILE_BYTES);
    const wanted = await readSmall(this.#files, from, MAX_KEY_FILE_BYTES);
    if (there !== undefined && wanted !== undefined && !there.equals(wanted)) {
      throw new BackupProblem(`${to} is another master key: keep this log's keyring in a folder of its own.`);
    }
    await this.#keepKeyFile(from, to);
  }

  async #keepKeyFile(from: string, to: string): Promise<void> {
    const wanted = await readSmall(this.#files, from, MAX_KEY_FILE_BYTES);
    if (wanted === undefined) throw new BackupProblem(`${from} is missing; put it back from a copy.`);
    if ((await readSmall(this.#files, to, MAX_KEY_FILE_BYTES))?.equals(wanted)) return;
    await writeWhole(this.#files, to, [wanted]);
  }

  async #copyMedia(
    contents: readonly Content[],
    masterKey: Buffer,
    latest: Manifest | undefined,
  ): Promise<MediaLine[]> {
    const known = new Map<string, MediaLine>();
    if (latest !== undefined) {
      for (const line of await readMediaList(this.#files, this.#options.folder, latest).catch(() => [])) {
        known.set(line.content, line);
      }
    }
    const { folder, signal } = this.#options;
    const copy = new MediaCopy({
      files: this.#files,
      folder,
      masterKey,
      onKept: (bytes) => this.#count(this.#kept, bytes),
      onCopied: (bytes) => this.#count(this.#copied, bytes),
      onWarning: (sentence) => this.#warnings.push(sentence),
      ...(signal && { signal }),
    });
    const lines: MediaLine[] = [];
    for (const content of contents) {
      signal?.throwIfAborted();
      const line = await copy.put(content, known.get(content.sha256));
      if (line !== undefined) lines.push(line);
      this.#onBytes(content.bytes);
    }
    return lines;
  }

  async #writeMediaList(id: string, lines: readonly MediaLine[]): Promise<Manifest['media']> {
    const name = pathInGeneration(id, 'media.jsonl');
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    const digest = await writeWhole(this.#files, path.join(this.#options.folder, name), [Buffer.from(text)]);
    const contentBytes = lines.reduce((sum, { content_bytes }) => sum + content_bytes, 0);
    return { path: name, ...digest, count: lines.length, content_bytes: contentBytes };
  }

  async #writeNotes(id: string): Promise<StoredFile[]> {
    const history = await new TileFiles(this.#paths.transparency).history();
    const evidence = new EvidenceFiles(this.#paths.transparency);
    const witnessed = await evidence.witnessed();
    const notes: Record<string, string> = {
      ...(witnessed !== undefined && { 'witnessed.checkpoint': witnessed }),
      'checkpoints.jsonl': history.map((entry) => `${JSON.stringify(entry)}\n`).join(''),
      'settings.json': `${JSON.stringify(this.#options.settings, undefined, 2)}\n`,
    };
    const stored: StoredFile[] = [];
    for (const [file, text] of Object.entries(notes)) {
      const name = pathInGeneration(id, file);
      const digest = await writeWhole(this.#files, path.join(this.#options.folder, name), [Buffer.from(text)]);
      stored.push({ path: name, ...digest });
    }
    for (const file of await evidence.timestampFiles()) {
      const digest = await digestOf(this.#files, file);
      if (digest === undefined) continue;
      const name = timestampPath(path.basename(file));
      await this.#put(name, digest, (target) => copyFile(this.#files, file, target));
      stored.push({ path: name, ...digest });
    }
    return stored;
  }

  #count(tally: Tally, bytes: number): void {
    tally.files += 1;
    tally.bytes += bytes;
  }

  readonly #onBytes: OnBytes = (bytes) => {
    this.#done += bytes;
    this.#options.onProgress?.(this.#done, this.#total);
  };
}
