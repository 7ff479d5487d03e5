/**
 * Verifies a run of records: that they can be read, follow each other in their streams, have the leaves that the level 0
 * tiles say, and open. Gives what is needed to join the run with those beside it. Runs in a worker.
 */
import { Damaged, type LogRecord } from '#streams/event-log.ts';
import type { RawRecord, ScannableLog } from '#streams/raw-log.ts';
import { HASH_BYTES, placeInStream, writeLeafHash } from '#streams/record-format.ts';
import { perfectRoot } from '#streams/transparency/merkle.ts';
import type { TileFiles } from '#streams/transparency/tile-files.ts';
import { TILE_BYTES, TILE_WIDTH, tileWidth } from '#streams/transparency/tiles.ts';
import { type Finding, Findings } from './finding.ts';

/** Records in a row that cannot be read before the rest of the run is given up. */
const MAX_UNREADABLE_IN_A_ROW = 64;

/** Says what is wrong with an opened record, or undefined. */
export type ContentCheck = (record: LogRecord) => string | undefined;

/** The run to verify. */
export interface ChunkRequest {
  /** First record; a multiple of 256. */
  readonly from: number;
  /** First record behind the run; a multiple of 256, or the end of the log. */
  readonly to: number;
  /** Records that the published checkpoint speaks of: as far as tiles are looked at. */
  readonly publishedSize: number;
  /** Sizes of checkpoints whose last, partial tile is in the run. */
  readonly partialSizes: readonly number[];
  readonly opens: boolean;
}

/** What came of it. */
export interface ChunkResult {
  readonly records: number;
  /** Sections whose key is destroyed. */
  readonly destroyedSections: number;
  /** Which: for each record of the run a byte whose bits are its sections; undefined where there are none. */
  readonly destroyed: Uint8Array | undefined;
  /** Header and sealed bytes. */
  readonly bytes: number;
  /** Records that could not be read. */
  readonly unread: number;
  /** Roots of the run's full tiles, one after the other, up to the first with a leaf that is known from nowhere. */
  readonly tileRoots: Uint8Array;
  /** There is such a leaf. */
  readonly isBroken: boolean;
  /** By size of {@link ChunkRequest.partialSizes}: the leaves of its last tile. */
  readonly partials: ReadonlyMap<number, Uint8Array>;
  /** By stream: first and last revision in the run. */
  readonly streams: ReadonlyMap<string, readonly [first: number, last: number]>;
  /** Level 0 tiles that are not what the log gives. Which of the two is wrong, the roots tell. */
  readonly differing: readonly DifferingTile[];
  readonly findings: readonly Finding[];
  readonly findingCount: number;
}

/** A level 0 tile, and the records that have another leaf in it than in the log. */
export interface DifferingTile {
  readonly path: string;
  readonly positions: readonly number[];
}

/** Verifies a run. Findings are in the result; it throws what it cannot explain. */
export async function verifyChunk(
  log: ScannableLog,
  files: TileFiles,
  request: ChunkRequest,
  checkContent?: ContentCheck,
): Promise<ChunkResult> {
  const run = new Run(log, files, request, checkContent);
  await run.verify();
  return run.result();
}

class Run {
  readonly #log: ScannableLog;
  readonly #files: TileFiles;
  readonly #request: ChunkRequest;
  readonly #checkContent: ContentCheck | undefined;
  readonly #findings = new Findings();
  readonly #streams = new Map<string, [number, number]>();
  readonly #partials = new Map<number, Uint8Array>();
  readonly #roots: Uint8Array[] = [];
  readonly #differing: DifferingTile[] = [];
  readonly #leaves = Buffer.alloc(TILE_BYTES);
  /** Leaves of the tile being gathered that are not known from the log, by their place in it. */
  #unknown: number[] = [];
  #isBroken = false;
  /** Records in front of `#next` that cannot be read. */
  #gap: { readonly from: number; readonly why: string } | undefined;
  #next: number;
  #records = 0;
  #bytes = 0;
  #unread = 0;
  #destroyed: Uint8Array | undefined;
  #destroyedCount = 0;

  constructor(log: ScannableLog, files: TileFiles, request: ChunkRequest, checkContent: ContentCheck | undefined) {
    this.#log = log;
    this.#files = files;
    this.#request = request;
    this.#checkContent = checkContent;
    this.#next = request.from;
  }

  async verify(): Promise<void> {
    let unreadableInARow = 0;
    while (this.#next < this.#request.to) {
      const before = this.#next;
      try {
        await this.#readOn();
        // Reading ended in front of the run's end.
        if (this.#next < this.#request.to) this.#skip(this.#request.to, 'the log ends in front of it');
      } catch (error) {
        if (!(error instanceof Damaged)) throw error;
        unreadableInARow = this.#next === before ? unreadableInARow + 1 : 1;
        const isGivenUp = unreadableInARow > MAX_UNREADABLE_IN_A_ROW;
        this.#skip(isGivenUp ? this.#request.to : this.#next + 1, error.message);
      }
    }
    this.#reportGap();
    if (this.#next % TILE_WIDTH !== 0) this.#finishTile(this.#next % TILE_WIDTH);
  }

  result(): ChunkResult {
    return {
      records: this.#records,
      destroyedSections: this.#destroyedCount,
      destroyed: this.#destroyed,
      bytes: this.#bytes,
      unread: this.#unread,
      tileRoots: Buffer.concat(this.#roots),
      isBroken: this.#isBroken,
      partials: this.#partials,
      streams: this.#streams,
      differing: this.#differing,
      findings: this.#findings.named,
      findingCount: this.#findings.count,
    };
  }

  async #readOn(): Promise<void> {
    for await (const records of this.#log.scanRaw(this.#next - 1, this.#request.to - 1)) {
      if (this.#request.opens) await this.#checkSections(records);
      for (const record of records) {
        if (record.position !== this.#next) {
          this.#skip(Math.min(record.position, this.#request.to), 'the log goes on behind it');
          if (this.#next !== record.position) return;
        }
        this.#take(record);
        if (this.#next % TILE_WIDTH === 0) this.#finishTile(TILE_WIDTH);
      }
    }
  }

  #take(record: RawRecord): void {
    this.#reportGap();
    this.#records++;
    this.#bytes += record.header.length;
    for (const sealed of record.sealedSections) this.#bytes += sealed.length;
    this.#checkRevision(record);
    writeLeafHash(this.#leaves, (this.#next % TILE_WIDTH) * HASH_BYTES, record.header, record.sealedSections);
    this.#next++;
  }

  /** Goes on at `to`; the records before it cannot be read. Those next to each other are one finding. */
  #skip(to: number, why: string): void {
    this.#gap ??= { from: this.#next, why };
    this.#unread += to - this.#next;
    while (this.#next < to) {
      this.#unknown.push(this.#next % TILE_WIDTH);
      this.#next++;
      if (this.#next % TILE_WIDTH === 0) this.#finishTile(TILE_WIDTH);
    }
  }

  #reportGap(): void {
    if (this.#gap === undefined) return;
    const { from, why } = this.#gap;
    const last = this.#next - 1;
    const which = from === last ? `record ${from}` : `records ${from} to ${last}`;
    this.#findings.add({ kind: 'damaged', message: `${which} cannot be read: ${why}`, position: from });
    this.#gap = undefined;
  }

  #checkRevision({ position, header }: RawRecord): void {
    const { stream, revision } = placeInStream(header);
    const seen = this.#streams.get(stream);
    if (seen === undefined) {
      this.#streams.set(stream, [revision, revision]);
      return;
    }
    const complaint = revisionComplaint(stream, seen[1], revision, this.#unread);
    if (complaint !== undefined) this.#find('revision', position, complaint);
    seen[1] = revision;
  }

  /** All records of a batch together: a promise for each would cost as much as opening it. */
  async #checkSections(records: readonly RawRecord[]): Promise<void> {
    const { destroyed, unopened } = await this.#log.checkSections(records);
    this.#destroyedCount += destroyed.length;
    for (const { position, section } of destroyed) {
      this.#destroyed ??= new Uint8Array(this.#request.to - this.#request.from);
      const at = position - this.#request.from;
      this.#destroyed[at] = (this.#destroyed[at] ?? 0) | (1 << section);
    }
    for (const { position, message } of unopened) this.#findings.add({ kind: 'section', message, position });
    if (this.#checkContent === undefined) return;
    const broken = new Set(unopened.map(({ position }) => position));
    const sound = broken.size === 0 ? records : records.filter(({ position }) => !broken.has(position));
    for (const opened of await this.#log.openRecords(sound)) {
      const complaint = this.#checkContent(opened);
      if (complaint !== undefined) this.#find('content', opened.position, complaint);
    }
  }

  /** The tile that ends in front of `#next` has all the leaves it will get from this log. */
  #finishTile(width: number): void {
    const index = (this.#next - width) / TILE_WIDTH;
    this.#compareTile(index, width);
    const [firstUnknown = TILE_WIDTH] = this.#unknown;
    this.#unknown = [];
    if (this.#isBroken) return;
    for (const size of this.#request.partialSizes) {
      const partialWidth = size % TILE_WIDTH;
      if (Math.floor(size / TILE_WIDTH) !== index || partialWidth > Math.min(width, firstUnknown)) continue;
      this.#partials.set(size, Uint8Array.from(this.#leaves.subarray(0, partialWidth * HASH_BYTES)));
    }
    if (firstUnknown < width) this.#isBroken = true;
    else if (width === TILE_WIDTH) this.#roots.push(perfectRoot(this.#leaves));
  }

  /** Compares with the published tile, and takes from it the leaves of records that cannot be read. */
  #compareTile(index: number, width: number): void {
    const publishedWidth = Math.min(width, tileWidth(0, index, this.#request.publishedSize));
    if (publishedWidth === 0) return;
    const tile = { level: 0, index, width: tileWidth(0, index, this.#request.publishedSize) };
    const published = this.#files.readIfThereSync(tile);
    if (published === undefined) {
      this.#findings.add({ kind: 'tile', message: `${this.#files.pathOf(tile)} is missing or cut short` });
      return;
    }
    const known = this.#unknown.filter((at) => at >= publishedWidth);
    for (const at of this.#unknown) {
      if (at < publishedWidth) published.copy(this.#leaves, at * HASH_BYTES, at * HASH_BYTES, (at + 1) * HASH_BYTES);
    }
    this.#unknown = known;
    const bytes = publishedWidth * HASH_BYTES;
    if (published.compare(this.#leaves, 0, bytes, 0, bytes) === 0) return;
    const positions: number[] = [];
    for (let at = 0; at < publishedWidth; at++) {
      const start = at * HASH_BYTES;
      const end = start + HASH_BYTES;
      if (published.compare(this.#leaves, start, end, start, end) !== 0) positions.push(index * TILE_WIDTH + at);
    }
    this.#differing.push({ path: this.#files.pathOf(tile), positions });
  }

  #find(kind: Finding['kind'], position: number, complaint: string): void {
    this.#findings.add({ kind, message: `record ${position}: ${complaint}`, position });
  }
}

/** What is wrong when `revision` comes after `before` in a stream; records that could not be read explain a gap. */
export function revisionComplaint(
  stream: string,
  before: number,
  revision: number,
  unread: number,
): string | undefined {
  const gap = revision - before - 1;
  if (gap === 0 || (gap > 0 && gap <= unread)) return undefined;
  return `revision ${revision} of stream ${stream} comes after revision ${before}`;
}
