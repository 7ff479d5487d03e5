/**
 * Makes an export: everything that a case asks for, in forms that people, review platforms and analysts read, with the proof
 * that it is what the log holds and that nothing in between is missing. The same question about the same checkpoint gives
 * the same bytes, so nothing in it tells when or by whom it was made: the audit log does.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere } from '#projections/engine/durable-files.ts';
import { STELE_VERSION } from '#src/version.ts';
import type { ReadOnlyLog } from '#streams/raw-log.ts';
import { openCheckpoint } from '#streams/transparency/checkpoint.ts';
import type { NoteSigner } from '#streams/transparency/note.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import type { DataFolder } from '../rooms/data-folder.ts';
import { type CaseQuery, caseQuery } from './case-query.ts';
import { type CollectState, collect, NOTHING_COLLECTED } from './collect.ts';
import { ExportRefused } from './errors.ts';
import { EventIndex } from './event-index.ts';
import { filesBelow, linesIn, listed, writeStreamed, writeWhole } from './files.ts';
import { csvPieces } from './formats/csv.ts';
import { htmlPages } from './formats/html.ts';
import { writeParquet } from './formats/parquet.ts';
import { rsmfFiles } from './formats/rsmf.ts';
import {
  type EventLine,
  EXPORT_FILES,
  type Manifest,
  type MediaLine,
  type RecordLine,
  type RoomSummary,
  signedText,
} from './layout.ts';
import { MediaSource, mediaNamedIn } from './media.ts';
import { copyTiles, tilesOfProofs } from './proof-tiles.ts';
import { type RoomInQuestion, roomsInQuestion } from './rooms-in-question.ts';
import { whyDestroyedIn } from './why-destroyed.ts';

export interface ExportOptions {
  /** Where the export goes: a folder that is empty, or that holds an unfinished export of the same. */
  readonly folder: string;
  readonly caseId: string;
  readonly query: CaseQuery;
  /** The data folder it is of. */
  readonly data: Pick<DataFolder, 'reader'>;
  readonly log: ReadOnlyLog;
  readonly transparencyFolder: string;
  readonly mediaFolder: string;
  readonly remoteMediaFolder: string;
  readonly serverName: string;
  /** The log's own key. */
  readonly signer: NoteSigner;
  /** A signed head of the log that the export is to be of; default the newest. */
  readonly checkpoint?: string;
  readonly onProgress?: (step: string, done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What an unfinished export has in `unfinished.json`. */
interface Unfinished {
  readonly caseId: string;
  readonly query: CaseQuery;
  readonly checkpoint: string;
  readonly collected: CollectState;
}

/** Makes or finishes an export and gives its manifest. @throws {ExportRefused} */
export async function exportCase(options: ExportOptions): Promise<Manifest> {
  const run = await ExportRun.begin(options);
  return run.finish();
}

class ExportRun {
  readonly #options: ExportOptions;
  readonly #query: CaseQuery;
  readonly #checkpoint: string;
  readonly #size: number;
  readonly #rooms: readonly RoomInQuestion[];
  #collected: CollectState;

  private constructor(options: ExportOptions, begun: Unfinished) {
    this.#options = options;
    this.#query = begun.query;
    this.#checkpoint = begun.checkpoint;
    this.#size = openCheckpoint(begun.checkpoint, options.signer.verifier).size;
    this.#collected = begun.collected;
    this.#rooms = roomsInQuestion(options.data.reader, this.#query);
  }

  static async begin(options: ExportOptions): Promise<ExportRun> {
    const query = caseQuery(options.query);
    const unfinished = await unfinishedIn(options.folder);
    if (unfinished === undefined) {
      const checkpoint = options.checkpoint ?? (await new TileFiles(options.transparencyFolder).checkpoint());
      if (checkpoint === undefined) {
        throw new ExportRefused('The log has no signed head yet: start the server once, then export.');
      }
      const run = new ExportRun(options, { caseId: options.caseId, query, checkpoint, collected: NOTHING_COLLECTED });
      if (options.log.head() + 1 < run.#size) {
        throw new ExportRefused(
          `The checkpoint is of ${run.#size} records, and the log has ${options.log.head() + 1}.`,
        );
      }
      await run.#save(NOTHING_COLLECTED);
      return run;
    }
    const isSame =
      unfinished.caseId === options.caseId &&
      JSON.stringify(unfinished.query) === JSON.stringify(query) &&
      (options.checkpoint === undefined || options.checkpoint === unfinished.checkpoint);
    if (!isSame) {
      throw new ExportRefused(`${options.folder} holds an unfinished export of another question; take another folder.`);
    }
    return new ExportRun(options, unfinished);
  }

  async finish(): Promise<Manifest> {
    const { folder, log, data, signal } = this.#options;
    this.#collected = await collect(
      {
        folder,
        query: this.#query,
        rooms: this.#rooms,
        size: this.#size,
        log,
        reader: data.reader,
        whyDestroyed: whyDestroyedIn(data.reader, log),
        save: (state) => this.#save(state),
        onProgress: (done, total) => this.#options.onProgress?.('Collecting', done, total),
        ...(signal && { signal }),
      },
      this.#collected,
    );
    await writeWhole(join(folder, EXPORT_FILES.checkpoint), this.#checkpoint);
    await this.#copyProofs();
    const media = await this.#copyMedia();
    await this.#writeFormats(media);
    return this.#writeManifest(media);
  }

  async #copyProofs(): Promise<void> {
    const { folder, transparencyFolder } = this.#options;
    const positions: number[] = [];
    for await (const { position } of linesIn<RecordLine>(join(folder, EXPORT_FILES.records))) positions.push(position);
    await copyTiles(tilesOfProofs(positions, this.#size), new TileFiles(transparencyFolder), folder);
  }

  async #copyMedia(): Promise<ReadonlyMap<string, MediaLine>> {
    const { folder, data, serverName, mediaFolder, remoteMediaFolder, signal, onProgress } = this.#options;
    const eventIds = new Map<string, string[]>();
    for await (const { event_id, pdu } of linesIn<EventLine>(join(folder, EXPORT_FILES.events))) {
      for (const mxc of new Set(mediaNamedIn(pdu.content))) {
        const ids = eventIds.get(mxc);
        if (ids === undefined) eventIds.set(mxc, [event_id]);
        else ids.push(event_id);
      }
    }
    const source = new MediaSource({ reader: data.reader, serverName, mediaFolder, remoteMediaFolder });
    const lines = new Map<string, MediaLine>();
    for (const mxc of [...eventIds.keys()].sort()) {
      signal?.throwIfAborted();
      lines.set(mxc, await source.copyInto(folder, mxc, eventIds.get(mxc) ?? []));
      onProgress?.('Copying media', lines.size, eventIds.size);
    }
    await writeStreamed(
      join(folder, EXPORT_FILES.mediaList),
      [...lines.values()].map((line) => `${JSON.stringify(line)}\n`),
    );
    return lines;
  }

  async #writeFormats(media: ReadonlyMap<string, MediaLine>): Promise<void> {
    const { folder, caseId, serverName, signal, onProgress } = this.#options;
    const index = await EventIndex.of(join(folder, EXPORT_FILES.events));
    const sha256OfMedia = new Map(
      [...media].flatMap(([mxc, { sha256 }]) => (sha256 === undefined ? [] : [[mxc, sha256]])),
    );
    await writeStreamed(join(folder, EXPORT_FILES.csv), csvPieces(index.entries(), sha256OfMedia));
    await writeParquet(join(folder, EXPORT_FILES.parquet), index.entries(), sha256OfMedia);
    const rooms = this.#summaries();
    // Pages and messages of an earlier run may be of fewer events.
    await rm(join(folder, EXPORT_FILES.html), { recursive: true, force: true });
    await rm(join(folder, EXPORT_FILES.rsmf), { recursive: true, force: true });
    let written = 0;
    for (const { path, html } of htmlPages({ caseId, serverName, logSize: this.#size, rooms, media, index })) {
      signal?.throwIfAborted();
      await writeWhole(join(folder, EXPORT_FILES.html, path), html);
    }
    for await (const { path, bytes } of rsmfFiles({ folder, caseId, serverName, rooms, media, index })) {
      signal?.throwIfAborted();
      await writeWhole(join(folder, EXPORT_FILES.rsmf, path), bytes);
      written += 1;
      onProgress?.('Writing messages', written, written);
    }
  }

  async #writeManifest(media: ReadonlyMap<string, MediaLine>): Promise<Manifest> {
    const { folder, caseId, serverName, signer } = this.#options;
    const rooms = this.#summaries();
    const sum = (of: (room: RoomSummary) => number): number => rooms.reduce((total, room) => total + of(room), 0);
    const files = [];
    const own: readonly string[] = [EXPORT_FILES.unfinished, EXPORT_FILES.manifest, EXPORT_FILES.signature];
    for (const path of await filesBelow(folder)) if (!own.includes(path)) files.push(await listed(folder, path));
    const manifest: Manifest = {
      format: 'stele-export/1',
      stele: STELE_VERSION,
      server_name: serverName,
      case_id: caseId,
      query: { ...this.#query, users: [...this.#query.users], rooms: [...this.#query.rooms] },
      log: { origin: signer.verifier.name, size: this.#size, key: signer.verifier.text },
      counts: {
        rooms: rooms.length,
        records: sum(({ records }) => records),
        exported: sum(({ exported }) => exported),
        left_out: sum(leftOutOf),
        encrypted_events: sum(({ encrypted_events }) => encrypted_events),
        destroyed: sum(({ destroyed }) => destroyed),
        media: media.size,
        media_missing: [...media.values()].filter(({ missing }) => missing !== undefined).length,
      },
      rooms,
      encrypted_rooms: rooms.filter(({ encrypted_events }) => encrypted_events > 0).map(({ room_id }) => room_id),
      files,
    };
    const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
    const digest = createHash('sha256').update(text).digest('hex');
    await writeWhole(join(folder, EXPORT_FILES.manifest), text);
    await writeWhole(join(folder, EXPORT_FILES.signature), signer.sign(signedText(signer.verifier.name, digest)));
    await rm(join(folder, EXPORT_FILES.unfinished), { force: true });
    return manifest;
  }

  /** The rooms of which the log had anything at the checkpoint. */
  #summaries(): RoomSummary[] {
    return this.#rooms.flatMap(({ room, name, isEncrypted }) => {
      const count = this.#collected.rooms[room.stream];
      if (count === undefined) return [];
      return [
        {
          room_id: room.roomId,
          name,
          version: room.version,
          stream: room.stream,
          is_encrypted: isEncrypted,
          records: count.records,
          exported: count.exported,
          left_out: { ...count.leftOut },
          encrypted_events: count.encrypted,
          destroyed: count.destroyed,
          withheld: { ...count.withheld },
        },
      ];
    });
  }

  async #save(collected: CollectState): Promise<void> {
    const { folder, caseId } = this.#options;
    const unfinished: Unfinished = { caseId, query: this.#query, checkpoint: this.#checkpoint, collected };
    await writeWhole(join(folder, EXPORT_FILES.unfinished), JSON.stringify(unfinished));
  }
}

/** Records of a room that are not exported. */
export function leftOutOf({ left_out }: Pick<RoomSummary, 'left_out'>): number {
  return Object.values(left_out).reduce((total, count) => total + count, 0);
}

/** What an earlier run left in a folder; undefined where the folder is empty or missing. @throws {ExportRefused} */
async function unfinishedIn(folder: string): Promise<Unfinished | undefined> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const text = await readIfThere(join(folder, EXPORT_FILES.unfinished));
  if (text !== undefined) return JSON.parse(text) as Unfinished;
  if ((await readdir(folder)).length === 0) return undefined;
  throw new ExportRefused(`${folder} is not empty, and holds no unfinished export; give an empty folder.`);
}
