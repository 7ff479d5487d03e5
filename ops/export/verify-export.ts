/**
 * Checks an export with nothing but its folder: that its files are those of its signed manifest; that each event is what a record
 * of the log says; that each record is in the log that was signed; and that of the rooms in question no record is missing.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { readPduRecord } from '#projections/rooms/pdu-record.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { decodeHeader, leafHashOfDigests, type RecordHeader, sha256 } from '#streams/record-format.ts';
import { openSection } from '#streams/sealing.ts';
import { type Checkpoint, openCheckpoint } from '#streams/transparency/checkpoint.ts';
import { type NoteVerifier, openNote, parseVerifier } from '#streams/transparency/note.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { checkPdu } from '../verify/pdu-check.ts';
import { leftOutOf } from './export-case.ts';
import { filesBelow, linesIn, listed } from './files.ts';
import {
  type EventLine,
  EXPORT_FILES,
  eventLine,
  type Manifest,
  manifestSchema,
  parseEventLine,
  recordLine,
  signedText,
  withheldLine,
} from './layout.ts';
import { VerifiedTiles } from './verified-tiles.ts';

/** Findings that are kept; beyond, only their number is. */
const MAX_FINDINGS = 100;
/** Records between two looks at whether to go on. */
const RECORDS_A_STEP = 1_000;

export interface VerifyExportOptions {
  readonly folder: string;
  /** The log's public key from somewhere else than the export; without it the export's own is taken, and vouches for nothing else. */
  readonly trustedKey?: string;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What was found. */
export interface ExportReport {
  readonly manifest: Manifest | undefined;
  readonly isKeyTrusted: boolean;
  readonly files: number;
  readonly records: number;
  readonly events: number;
  /** Sentences; empty when all is as it was signed. */
  readonly findings: readonly string[];
  /** Findings beyond those that are listed. */
  readonly moreFindings: number;
}

/** Checks an export. Never throws for what is in the folder: that is a finding. */
export async function verifyExport(options: VerifyExportOptions): Promise<ExportReport> {
  const check = new ExportCheck(options);
  await check.run();
  return check.report;
}

class ExportCheck {
  readonly #options: VerifyExportOptions;
  readonly #findings: string[] = [];
  #more = 0;
  #manifest: Manifest | undefined;
  #files = 0;
  #records = 0;
  #events = 0;
  /** Digest of what each exported record says, until the event of the same position has been compared with it. */
  readonly #opened = new Map<number, string>();
  /** By stream: how many records of each revision there are. */
  readonly #revisions = new Map<string, Set<number>>();
  readonly #leftOut = new Map<string, Map<string, number>>();
  readonly #exported = new Map<string, number>();

  constructor(options: VerifyExportOptions) {
    this.#options = options;
  }

  get report(): ExportReport {
    return {
      manifest: this.#manifest,
      isKeyTrusted: this.#options.trustedKey !== undefined,
      files: this.#files,
      records: this.#records,
      events: this.#events,
      findings: this.#findings,
      moreFindings: this.#more,
    };
  }

  async run(): Promise<void> {
    const manifest = await this.#readManifest();
    if (manifest === undefined) return;
    this.#manifest = manifest;
    const verifier = await this.#guard('the key of the log', () =>
      parseVerifier(this.#options.trustedKey ?? manifest.log.key),
    );
    if (verifier === undefined) return;
    if (verifier.text !== manifest.log.key) {
      this.#find(`the export is of a log with the key ${manifest.log.key}, not with the trusted ${verifier.text}`);
      return;
    }
    await this.#checkSignature(manifest, verifier);
    await this.#checkFiles(manifest);
    const checkpoint = await this.#guard('checkpoint', async () =>
      openCheckpoint(await this.#text(EXPORT_FILES.checkpoint), verifier),
    );
    if (checkpoint === undefined) return;
    if (checkpoint.size !== manifest.log.size)
      this.#find(`checkpoint: of ${checkpoint.size} records, not of ${manifest.log.size}`);
    await this.#guard(EXPORT_FILES.records, () => this.#checkRecords(checkpoint, manifest));
    await this.#guard(EXPORT_FILES.events, () => this.#checkEvents());
    for (const position of this.#opened.keys()) this.#find(`record ${position} is exported, but its event is missing`);
    await this.#guard(EXPORT_FILES.withheld, () => this.#checkWithheld(manifest));
    this.#checkCounts(manifest);
  }

  async #readManifest(): Promise<Manifest | undefined> {
    return this.#guard(EXPORT_FILES.manifest, async () => {
      const parsed = manifestSchema.safeParse(JSON.parse(await this.#text(EXPORT_FILES.manifest)));
      if (parsed.success) return parsed.data;
      const [issue] = parsed.error.issues;
      throw new Error(`no manifest: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
    });
  }

  async #checkSignature(manifest: Manifest, verifier: NoteVerifier): Promise<void> {
    await this.#guard(EXPORT_FILES.signature, async () => {
      const signed = openNote(await this.#text(EXPORT_FILES.signature), verifier);
      const { sha256: digest } = await listed(this.#options.folder, EXPORT_FILES.manifest);
      if (signed !== signedText(manifest.log.origin, digest))
        throw new Error('it is the signature of another manifest');
    });
  }

  async #checkFiles(manifest: Manifest): Promise<void> {
    const { folder, signal } = this.#options;
    const own: readonly string[] = [EXPORT_FILES.manifest, EXPORT_FILES.signature];
    const there = new Set((await filesBelow(folder)).filter((path) => !own.includes(path)));
    for (const file of manifest.files) {
      signal?.throwIfAborted();
      this.#files += 1;
      if (!there.delete(file.path)) {
        this.#find(`${file.path} is missing`);
        continue;
      }
      const { bytes, sha256: digest } = await listed(folder, file.path);
      if (bytes !== file.bytes || digest !== file.sha256) this.#find(`${file.path} is not what was signed`);
    }
    for (const path of there) this.#find(`${path} is not part of the export`);
  }

  async #checkRecords(checkpoint: Checkpoint, manifest: Manifest): Promise<void> {
    const { folder, signal, onProgress } = this.#options;
    const streams = new Set(manifest.rooms.map(({ stream }) => stream));
    const tiles = await VerifiedTiles.open(new TileFiles(folder), checkpoint);
    for await (const line of linesIn<unknown>(join(folder, EXPORT_FILES.records))) {
      await this.#guard(`record ${this.#records + 1}`, () => this.#checkRecord(line, tiles, streams));
      this.#records += 1;
      if (this.#records % RECORDS_A_STEP !== 0) continue;
      signal?.throwIfAborted();
      onProgress?.(this.#records, manifest.counts.records);
    }
  }

  async #checkRecord(line: unknown, tiles: VerifiedTiles, streams: ReadonlySet<string>): Promise<void> {
    const record = recordLine.parse(line);
    const { position, sections } = record;
    const headerBytes = Buffer.from(record.header, 'base64');
    const header = decodeHeader(headerBytes);
    if (header.sectionCount !== sections.length) throw new Error(`record ${position} lacks sections`);
    if (!streams.has(header.stream)) throw new Error(`record ${position} is of no room in question`);
    const digests = sections.map(({ digest }) => Buffer.from(digest, 'base64'));
    if (!leafHashOfDigests(headerBytes, digests).equals(await tiles.leafAt(position))) {
      throw new Error(`record ${position} is not in the log that was signed`);
    }
    this.#countRevision(header, position);
    if (record.left_out !== undefined) {
      const counts = this.#leftOut.get(header.stream) ?? new Map<string, number>();
      counts.set(record.left_out, (counts.get(record.left_out) ?? 0) + 1);
      this.#leftOut.set(header.stream, counts);
      return;
    }
    this.#exported.set(header.stream, (this.#exported.get(header.stream) ?? 0) + 1);
    this.#open(header, position, sections, digests);
  }

  #countRevision({ stream, revision }: RecordHeader, position: number): void {
    const seen = this.#revisions.get(stream) ?? new Set<number>();
    if (seen.has(revision)) throw new Error(`record ${position} is there twice`);
    seen.add(revision);
    this.#revisions.set(stream, seen);
  }

  /** Opens a record and remembers what its event is. */
  #open(
    header: RecordHeader,
    position: number,
    sections: readonly { readonly sealed?: string | undefined; readonly key?: string | undefined }[],
    digests: readonly Buffer[],
  ): void {
    const plain = sections.map(({ sealed, key }, index) => {
      if (sealed === undefined || key === undefined) return null;
      const bytes = Buffer.from(sealed, 'base64');
      if (!sha256(bytes).equals(digests[index] ?? Buffer.alloc(0)))
        throw new Error(`record ${position}: section ${index} is not what the log holds`);
      const opened = openSection(bytes, header.id, index, Buffer.from(key, 'base64'));
      if (opened === undefined) throw new Error(`record ${position}: section ${index} does not open with its key`);
      return opened;
    });
    const read = readPduRecord({ ...header, position, sections: plain });
    if (read === undefined) throw new Error(`record ${position} does not open`);
    const complaint = checkPdu(read);
    if (complaint !== undefined) throw new Error(`record ${position}: ${complaint}`);
    const { meta, pdu, isErased } = read;
    this.#opened.set(
      position,
      comparable({
        recorded_at: new Date(header.recordedAtMs).toISOString(),
        room_id: meta.roomId,
        event_id: meta.eventId,
        room_version: meta.roomVersion,
        disposition: meta.disposition,
        reason: meta.reason,
        is_destroyed: isErased,
        pdu: pdu as EventLine['pdu'],
      }),
    );
  }

  async #checkEvents(): Promise<void> {
    for await (const line of linesIn<unknown>(join(this.#options.folder, EXPORT_FILES.events), parseEventLine)) {
      this.#events += 1;
      await this.#guard(`event ${this.#events}`, () => {
        const event = eventLine.parse(line);
        const opened = this.#opened.get(event.position);
        if (opened === undefined) throw new Error(`the event ${event.event_id} has no record at ${event.position}`);
        this.#opened.delete(event.position);
        if (comparable(event) !== opened)
          throw new Error(`the event ${event.event_id} is not what record ${event.position} says`);
      });
    }
  }

  /** What is withheld is listed, line by line, as often as the manifest says. */
  async #checkWithheld({ rooms }: Manifest): Promise<void> {
    const listed = new Map<string, Record<string, number>>();
    for await (const line of linesIn(join(this.#options.folder, EXPORT_FILES.withheld))) {
      const { room_id: roomId, cause } = withheldLine.parse(line);
      const counts = listed.get(roomId) ?? {};
      counts[cause] = (counts[cause] ?? 0) + 1;
      listed.set(roomId, counts);
    }
    for (const { room_id: roomId, withheld } of rooms) {
      if (!isDeepStrictEqual(listed.get(roomId) ?? {}, withheld))
        this.#find(`${roomId}: the list of what is withheld is not what the manifest counts`);
    }
  }

  #checkCounts({ rooms, counts, encrypted_rooms }: Manifest): void {
    for (const room of rooms) {
      const revisions = this.#revisions.get(room.stream)?.size ?? 0;
      let highest = -1;
      for (const revision of this.#revisions.get(room.stream) ?? []) highest = Math.max(highest, revision);
      if (revisions !== room.records || highest + 1 !== revisions) {
        this.#find(
          `${room.room_id}: of its records 0 to ${Math.max(highest, room.records - 1)} there are ${revisions}`,
        );
      }
      if ((this.#exported.get(room.stream) ?? 0) !== room.exported)
        this.#find(`${room.room_id}: the number of exported events is wrong`);
      const leftOut = [...(this.#leftOut.get(room.stream)?.values() ?? [])].reduce((sum, count) => sum + count, 0);
      if (leftOut !== leftOutOf(room)) this.#find(`${room.room_id}: the number of records left out is wrong`);
    }
    if (counts.exported !== this.#events)
      this.#find(`the manifest counts ${counts.exported} events, there are ${this.#events}`);
    if (counts.records !== this.#records)
      this.#find(`the manifest counts ${counts.records} records, there are ${this.#records}`);
    const encrypted = rooms.filter(({ encrypted_events }) => encrypted_events > 0).map(({ room_id }) => room_id);
    if (JSON.stringify(encrypted) !== JSON.stringify(encrypted_rooms))
      this.#find('the list of encrypted rooms is wrong');
  }

  /** Runs a check; what it throws is a finding. */
  async #guard<T>(what: string, check: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await check();
    } catch (error) {
      if (this.#options.signal?.aborted) throw error;
      this.#find(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  #find(finding: string): void {
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push(finding);
    else this.#more += 1;
  }

  #text(path: string): Promise<string> {
    return readFile(join(this.#options.folder, path), 'utf8');
  }
}

/** Digest of what a line of an event and its record must have in common. */
function comparable({
  recorded_at,
  room_id,
  event_id,
  room_version,
  disposition,
  reason,
  is_destroyed,
  pdu,
}: Omit<EventLine, 'position' | 'because' | 'sender_name' | 'reason'> & {
  readonly reason?: string | undefined;
}): string {
  const event = canonicalJson(pdu as JsonObject, 'loose');
  const text = [recorded_at, room_id, event_id, room_version, disposition, reason ?? '', is_destroyed, event].join(
    '\n',
  );
  return sha256(Buffer.from(text)).toString('base64');
}
