/**
 * The one path by which anything is destroyed.
 *
 * 1. A record says what will go, for what cause and by which rule (`destruction.decided`): durable before anything goes.
 * 2. The keys of the sections are destroyed; `erased.list` beside the keyring names them, for restores.
 *    From then on until 3. is done readers are shown nothing of the rows that are there still.
 *    Of the files that these sections named, those go as well that nothing names any more: by a record of their own.
 * 3. The tables are built anew from the log, which can be read only in so far as there are keys, and take the place of those in
 *    use: so no row, no free page and no gap of a page holds anything of it, nor does a safe copy; and the tables are what a
 *    replay gives. The search index likewise.
 * 4. Files of media that nothing refers to any more are removed, with their thumbnails; what is kept in memory is dropped.
 * 5. A record says that it is done (`destruction.finished`).
 *
 * What was decided and is not finished is gone on with at the next start; each step can be done twice. Steps 3 to 5 are shared by
 * all that was decided before they begin.
 */

import { decisionAt, hiddenBy, hiddenByUnfinished } from '#projections/compliance/hidden-by.ts';
import { unfinishedDestructions } from '#projections/compliance/queries.ts';
import {
  type Cause,
  type ComplianceRecords,
  complianceRecord,
  ERASURES_STREAM,
  HOLDS_STREAM,
} from '#projections/compliance/records.ts';
import { packSections, unpackSections } from '#projections/compliance/section-list.ts';
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { BuildAhead } from '#projections/engine/renewal.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { EventLog, Position, RecordDraft } from '#streams/event-log.ts';
import type { ClassifiedItem } from '../items.ts';

/** Items of one record: some 6 KiB, and some 10 ms to take them into the tables. */
const ITEMS_PER_RECORD = 2_000;
/** Files of one record: some 130 KiB. */
const FILES_PER_RECORD = 2_000;
/** Names of files of one record, before those of its last item: some 250 KiB, and 170 KiB more for the largest item there is. */
const NAMES_PER_RECORD = 8_000;
/** How often files are looked for that nothing names any more, where others go on deciding meanwhile. */
const MAX_ROUNDS = 4;
/** How long what comes one by one is gathered before tables are built anew. */
const SOON_MS = 5 * 60_000;
/** After a failure it is tried again so much later. */
const RETRY_MS = 60_000;

export interface DestructionOptions {
  readonly log: EventLog;
  readonly reader: Reader;
  readonly engine: Pick<ProjectionEngine, 'renew' | 'hide' | 'roomToRenew'>;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  /** Removes the index; it is built anew once the others are done. */
  readonly search: { renew(others: Promise<unknown>): Promise<void> };
  /** Removes the file of a content, with what was made of it, unless something refers to it. */
  readonly removeFile: (sha256: string) => Promise<boolean>;
  /** Lets go those of these media, by their keys, that nothing names any more: decides, and destroys their keys. */
  readonly releaseMedia: (keys: ReadonlySet<string>, signal: AbortSignal) => Promise<unknown>;
  /** Drops what is kept in memory of events and people. */
  readonly dropCaches: () => void;
  /** Of that what is shown to somebody as it is; called often. */
  readonly dropTexts: () => void;
  /** Builds tables in another thread; without it this one does, in small pieces. */
  readonly buildAhead: BuildAhead | undefined;
  readonly logger: Logger;
}

/** What is to go. */
export interface Order {
  readonly cause: Cause;
  readonly requestId: string | null;
  /** The rule and the policy that it follows, as a sentence. */
  readonly why: string;
  readonly items: readonly Pick<ClassifiedItem, 'position' | 'sections' | 'sha256' | 'names'>[];
  readonly rooms?: readonly string[];
}

/** What was done. */
export interface Finished {
  readonly sections: number;
  readonly media: number;
}

/** The server stops before what was decided is all gone. */
export class DestructionStopped extends Error {
  override readonly name = 'DestructionStopped';
}

/** Keys are destroyed, and there is no room on the disk to build the tables anew, which still hold what they opened. */
export class NoRoomForTables extends MatrixError {
  constructor(neededBytes: number, freeBytes: number) {
    const message =
      `What goes has no keys any more and is not shown, but the tables hold it until they are built anew: that needs ${neededBytes} ` +
      `bytes of the disk, and ${freeBytes} are free. It is tried again each minute.`;
    super('M_UNKNOWN', message, { status: 507 });
  }
}

const NOTHING: Finished = { sections: 0, media: 0 };

export class Destruction {
  readonly #options: DestructionOptions;
  #finishing: Promise<Finished> | undefined;
  #waiting: Promise<Finished> | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #soonTimer: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();
  /** Records of decisions that are not finished, whose keys this process has destroyed. */
  readonly #keysGone = new Set<Position>();
  #missingBytes = 0;

  constructor(options: DestructionOptions) {
    this.#options = options;
  }

  /** What has to become free on the disk before tables can be built anew, in bytes; 0 when nothing waits for that. */
  get missingBytes(): number {
    return this.#missingBytes;
  }

  /** Decisions of which not everything is gone. */
  get unfinished(): number {
    return unfinishedDestructions(this.#options.reader).length;
  }

  /**
   * Puts on record what goes, and destroys its keys. {@link finish} does the rest. Gives the positions of the records. To be called
   * while the holds stand against which the items were held (`Holds.whileTheyStand`).
   */
  async destroy(order: Order): Promise<Position[]> {
    const positions: Position[] = [];
    const { items, rooms = [] } = order;
    for (let at = 0; at < Math.max(items.length, rooms.length > 0 ? 1 : 0); ) {
      const batch = batchFrom(items, at);
      at += Math.max(1, batch.length);
      const fields = fieldsOf(order, batch, rooms, this.#options.newRecordId());
      const position = await this.#append([
        complianceRecord(this.#options.newRecordId(), 'destruction.decided', fields),
      ]);
      await this.#destroyKeys(fields);
      this.#keysGone.add(position);
      positions.push(position);
    }
    return positions;
  }

  /** Shows nothing of what was decided to go and is not gone, before {@link resume} goes on with it: at a start, before anybody reads. */
  async hideUnfinished(): Promise<void> {
    const { reader, log, engine } = this.#options;
    for (const hidden of await hiddenByUnfinished(reader, log)) engine.hide(hidden);
  }

  /** Clears tables, index, files and memory of all that was decided so far, and puts that on record. */
  finish(): Promise<Finished> {
    if (this.#finishing === undefined) {
      this.#finishing = this.#finish().finally(() => {
        this.#finishing = undefined;
      });
      return this.#finishing;
    }
    // What was decided since the one under way began is not in it.
    this.#waiting ??= this.#finishing
      .catch(() => NOTHING)
      .then(() => {
        this.#waiting = undefined;
        return this.finish();
      });
    return this.#waiting;
  }

  /** The same in a while, together with what is decided until then: for what comes one by one. */
  finishSoon(): void {
    if (this.#closing.signal.aborted || this.#soonTimer !== undefined) return;
    this.#soonTimer = setTimeout(() => {
      this.#soonTimer = undefined;
      void this.resume();
    }, SOON_MS);
    this.#soonTimer.unref();
  }

  /** Goes on with what a crash interrupted, and again after a while if that fails. */
  async resume(): Promise<Finished> {
    const { reader, logger } = this.#options;
    if (unfinishedDestructions(reader).length === 0 || this.#closing.signal.aborted) return NOTHING;
    try {
      return await this.finish();
    } catch (error) {
      if (this.#closing.signal.aborted || error instanceof NoRoomForTables) return NOTHING;
      logger.error({ err: error }, 'what was decided to be destroyed is not all gone; it is tried again in a minute');
      this.#retryLater();
      return NOTHING;
    }
  }

  /** Stops what is under way; it is gone on with at the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#soonTimer);
    await this.#waiting?.catch(() => undefined);
    await this.#finishing?.catch(() => undefined);
  }

  async #finish(): Promise<Finished> {
    const { reader, engine, search, removeFile, dropCaches, dropTexts, buildAhead, newRecordId } = this.#options;
    if (unfinishedDestructions(reader).length === 0) return NOTHING;
    const { signal } = this.#closing;
    if (signal.aborted) throw new DestructionStopped('the server stops; what was decided goes at the next start');
    const pending = await this.#destroyAllKeys();
    const upTo = pending.at(-1);
    if (upTo === undefined) return NOTHING;
    dropCaches();
    dropTexts();
    const tables = Promise.withResolvers<void>();
    try {
      // First: until it is built anew nothing is found in it.
      await search.renew(tables.promise);
      await this.#checkRoom();
      await engine.renew({ signal, ...(buildAhead && { buildAhead }) });
    } finally {
      tables.resolve();
    }
    // An index that was closed before has not removed anything.
    if (signal.aborted) throw new DestructionStopped('the server stops; what was decided goes at the next start');
    let sections = 0;
    let media = 0;
    for (const position of pending) {
      const fields = await decisionAt(this.#options.log, position);
      if (fields === undefined) continue;
      for (const _ of unpackSections(fields.items)) sections++;
      for (const sha256 of fields.media) if (await removeFile(sha256)) media++;
    }
    dropCaches();
    dropTexts();
    await this.#append([complianceRecord(newRecordId(), 'destruction.finished', { upTo, sections, media })]);
    for (const position of pending) this.#keysGone.delete(position);
    // What was decided meanwhile.
    if (this.unfinished > 0) this.finishSoon();
    return { sections, media };
  }

  /**
   * Destroys the keys of all that was decided, and decides on the files that nothing names any more. Gives the decisions of which
   * no keys are left, in their order.
   */
  async #destroyAllKeys(): Promise<Position[]> {
    const { reader, releaseMedia } = this.#options;
    const done = new Set<Position>();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const news = unfinishedDestructions(reader).filter((position) => !done.has(position));
      if (news.length === 0) break;
      await this.#destroyKeysOf(news);
      const names = new Set<string>();
      for (const position of news) {
        for (const name of namesOf((await decisionAt(this.#options.log, position))?.named)) names.add(name);
        done.add(position);
      }
      if (names.size > 0) await releaseMedia(names, this.#closing.signal);
    }
    return [...done];
  }

  /**
   * Destroys the keys of decisions that were cut short. In turn with holds: at the start of the server this comes before the first
   * hold that can be asked for, so that once a hold is set nothing that it covers goes.
   */
  async #destroyKeysOf(pending: readonly Position[]): Promise<void> {
    await this.#options.commands.run(HOLDS_STREAM, async () => {
      for (const position of pending) {
        if (this.#keysGone.has(position)) continue;
        const fields = await decisionAt(this.#options.log, position);
        if (fields !== undefined) await this.#destroyKeys(fields);
        this.#keysGone.add(position);
      }
      return { records: [], result: undefined };
    });
  }

  async #destroyKeys(decided: ComplianceRecords['destruction.decided']): Promise<void> {
    const { log, reader, engine, dropTexts } = this.#options;
    const hidden = await hiddenBy(decided, reader, log);
    engine.hide(hidden);
    dropTexts();
    await log.destroyKeys([...unpackSections(decided.items)]);
    // Tables whose building began in between may have read them.
    engine.hide(hidden);
  }

  /** Keys are destroyed whether there is room or not: that cannot wait. */
  async #checkRoom(): Promise<void> {
    const { engine, logger } = this.#options;
    const { neededBytes, freeBytes } = await engine.roomToRenew();
    if (freeBytes >= neededBytes) {
      this.#missingBytes = 0;
      return;
    }
    const isNews = this.#missingBytes === 0;
    this.#missingBytes = neededBytes - freeBytes;
    const error = new NoRoomForTables(neededBytes, freeBytes);
    if (isNews) logger.warn({ neededBytes, freeBytes }, error.message);
    this.#retryLater();
    throw error;
  }

  #retryLater(): void {
    clearTimeout(this.#retryTimer);
    if (this.#closing.signal.aborted) return;
    this.#retryTimer = setTimeout(() => void this.resume(), RETRY_MS);
    this.#retryTimer.unref();
  }

  async #append(records: readonly RecordDraft[]): Promise<Position> {
    const { position } = await this.#options.commands.run(ERASURES_STREAM, () => ({ records, result: undefined }));
    if (position === undefined) throw new Error('a record of a destruction was not appended');
    return position;
  }
}

/** Items from a place on that fit into one record. */
function batchFrom(items: Order['items'], start: number): Order['items'] {
  let files = 0;
  let names = 0;
  let end = start;
  while (end < items.length && end - start < ITEMS_PER_RECORD && names < NAMES_PER_RECORD) {
    if (items[end]?.sha256 !== undefined && ++files > FILES_PER_RECORD) break;
    names += items[end]?.names?.length ?? 0;
    end++;
  }
  return items.slice(start, end);
}

function fieldsOf(
  { cause, requestId, why }: Order,
  items: Order['items'],
  rooms: readonly string[],
  id: Uint8Array,
): ComplianceRecords['destruction.decided'] {
  const named = [...new Set(items.flatMap(({ names = [] }) => names))];
  return {
    id: Buffer.from(id).toString('base64url'),
    cause,
    requestId,
    why,
    items: packSections(items),
    media: [...new Set(items.map(({ sha256 }) => sha256).filter((one) => one !== undefined))],
    ...(named.length > 0 && { named: Buffer.from(named.join(''), 'hex') }),
    rooms,
  };
}

/** Bytes of a name's digest. */
const NAME_BYTES = 32;

function* namesOf(named: Uint8Array | undefined): Generator<string> {
  if (named === undefined) return;
  const bytes = Buffer.from(named.buffer, named.byteOffset, named.byteLength);
  for (let at = 0; at < bytes.length; at += NAME_BYTES) yield bytes.toString('hex', at, at + NAME_BYTES);
}
