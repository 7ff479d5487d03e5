/**
 * Lets go the files that nothing names any more which may be shown: those of this server for good, those of others out of the
 * cache. Asked about are files that were named by what was destroyed, or by a profile or account data that says something else
 * now; and, where the settings say so, files that nobody sent. What was never seen to be named may have been sent encrypted, so
 * nothing goes for that alone.
 */
import { knownToBeKept } from '#projections/compliance/queries.ts';
import type { RetentionPolicy } from '#projections/compliance/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { media, mediaById } from '#projections/media/projection.ts';
import { BY_SERVER, MEDIA_STORED } from '#projections/media/records.ts';
import { roomsOf, stateEventPosition } from '#projections/rooms/queries.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { mediaKey } from '#src/media/media-names.ts';
import type { EventLog, LogRecord, Position } from '#streams/event-log.ts';
import { decide, type Item } from './decision/decide.ts';
import type { Destruction } from './destruction/destruction.ts';
import type { Holds } from './holds.ts';
import { type ClassifiedItem, itemsOf } from './items.ts';
import { Ledger } from './ledger.ts';
import { Pace, rowsOf, unnamedOf } from './named-media.ts';

/** Files that one run asks about, beside those that were named by what it destroys; the next run asks about the next. */
const MAX_SOUGHT = 20_000;
/** Kinds of records that name files until they are overtaken by another. */
const OVERTAKEN: ReadonlySet<string> = new Set(['profile.set', 'account_data.set', 'delayed_event.scheduled']);

/** Files of other servers that are kept for a while. */
export interface CachedFiles {
  /** What is known of a file: when it was fetched, in milliseconds since the epoch. */
  describe(key: string): Promise<{ readonly mediaId: string | undefined; readonly fetchedAtMs: number } | undefined>;
  drop(key: string): Promise<void>;
}

export interface UnusedMediaOptions {
  readonly log: Pick<EventLog, 'readAll' | 'readStream' | 'head'>;
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly destruction: Pick<Destruction, 'destroy'>;
  readonly holds: Holds;
  readonly policy: RetentionPolicy;
  readonly serverName: string;
  readonly cachedFiles: CachedFiles;
  /** How long a file may be there without that anything was seen to name it, in milliseconds; null for ever. */
  readonly unsentLifetimeMs: number | null;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** Gathers, as a run of retention goes through the log, which files are to be asked about. */
export interface Seeker {
  readonly keys: ReadonlySet<string>;
  look(item: ClassifiedItem, record: LogRecord): void;
}

export class UnusedMedia {
  readonly #options: UnusedMediaOptions;
  /** Where the last run had enough to ask about. */
  #soughtUpTo: Position | undefined;

  constructor(options: UnusedMediaOptions) {
    this.#options = options;
  }

  /**
   * Lets go those of these media, by their keys, that nothing names any more, as far as holds and minimum lifetimes let it. Files of
   * this server are gone when the destruction is finished. Gives how many of them are to go.
   */
  async release(keys: ReadonlySet<string>, signal?: AbortSignal, onFirst?: () => Promise<void>): Promise<number> {
    const { reader, policy, holds, clock } = this.#options;
    const { own, cached } = await this.#present(keys, signal);
    if (own.size + cached.length === 0) return 0;
    const unnamed = await unnamedOf([...own.keys(), ...cached], this.#options, signal);
    for (const key of cached) if (unnamed.has(key)) await this.#dropCached(key);
    const ledger = new Ledger({ ...this.#options, cause: 'unused_media', requestId: null });
    for (const [key, mediaId] of own) {
      const item = unnamed.has(key) ? await this.#itemOf(mediaId) : undefined;
      if (item === undefined) continue;
      const circumstances = { policy, holds: holds.standing(), nowMs: clock() };
      const verdict = decide(item, { cause: 'unused_media' }, circumstances);
      if (verdict.outcome === 'destroy') await onFirst?.();
      // Somebody may have removed it meanwhile.
      if (mediaById(reader, mediaId) !== undefined) await ledger.take(item, verdict);
    }
    await ledger.flush();
    return ledger.media;
  }

  /** Begins to gather what a run asks about by itself. */
  seeker(): Seeker {
    const keys = new Set<string>();
    const after = this.#soughtUpTo ?? -1;
    this.#soughtUpTo = undefined;
    const encrypted = new Map<string, boolean>();
    const add = (key: string, position: Position): void => {
      if (keys.size >= MAX_SOUGHT) this.#soughtUpTo ??= position - 1;
      else keys.add(key);
    };
    return {
      keys,
      look: (item, record) => {
        if (record.position <= after) return;
        if (OVERTAKEN.has(record.kind)) for (const key of item.names ?? []) add(key, record.position);
        if (record.kind !== MEDIA_STORED || item.isGone === true || item.mediaId === undefined) return;
        if (!this.#wasKept(item) && !this.#isUnsent(item, encrypted)) return;
        add(mediaKey({ serverName: this.#options.serverName, mediaId: item.mediaId }), record.position);
      },
    };
  }

  /** Whether it would have gone before, were it not for a hold or a minimum lifetime. */
  #wasKept({ position, sections }: Item): boolean {
    const { reader } = this.#options;
    return sections.some(
      (section) => knownToBeKept(reader, { position, section, cause: 'unused_media' }) !== undefined,
    );
  }

  /** Whether a file is old enough that it would have been sent, and cannot have been sent encrypted by who uploaded it. */
  #isUnsent({ recordedAtMs, userIds }: Item, encrypted: Map<string, boolean>): boolean {
    const { unsentLifetimeMs, clock, reader } = this.#options;
    if (unsentLifetimeMs === null || recordedAtMs + unsentLifetimeMs > clock()) return false;
    return userIds.every((userId) => {
      const isEncrypting = encrypted.get(userId) ?? hasEncryptedRoom(reader, userId);
      encrypted.set(userId, isEncrypting);
      return !isEncrypting && userId !== BY_SERVER;
    });
  }

  /** Those of these media that are here. */
  async #present(
    keys: ReadonlySet<string>,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly own: ReadonlyMap<string, string>; readonly cached: readonly string[] }> {
    const { reader, serverName, cachedFiles } = this.#options;
    const own = new Map<string, string>();
    if (keys.size === 0) return { own, cached: [] };
    const pace = new Pace(signal);
    for await (const { key, value } of rowsOf(reader, media, pace)) {
      const name = mediaKey({ serverName, mediaId: key[0] });
      if (keys.has(name) && value[0] !== BY_SERVER) own.set(name, key[0]);
    }
    const cached: string[] = [];
    for (const key of keys) if (!own.has(key) && (await cachedFiles.describe(key)) !== undefined) cached.push(key);
    return { own, cached };
  }

  async #dropCached(key: string): Promise<void> {
    const { cachedFiles, holds, policy, clock } = this.#options;
    const described = await cachedFiles.describe(key);
    if (described === undefined) return;
    const { mediaId, fetchedAtMs } = described;
    // By the clock of the file system, which may be ahead.
    const recordedAtMs = Math.min(fetchedAtMs, clock());
    const known = { position: -1, sections: [], class: 'media', userIds: [], recordedAtMs } as const;
    const item: Item = mediaId === undefined ? known : { ...known, mediaId };
    await holds.whileTheyStand(async (standing) => {
      const circumstances = { policy, holds: standing, nowMs: clock() };
      const verdict = decide(item, { cause: 'unused_media' }, circumstances);
      if (verdict.outcome === 'destroy') await cachedFiles.drop(key);
    });
  }

  async #itemOf(mediaId: string): Promise<ClassifiedItem | undefined> {
    const { reader, log } = this.#options;
    const stored = mediaById(reader, mediaId);
    if (stored === undefined) return undefined;
    for await (const record of log.readStream(stored.stream)) {
      if (record.kind !== MEDIA_STORED) continue;
      return itemsOf(record, () => undefined).find((item) => item.mediaId === mediaId);
    }
    return undefined;
  }
}

/** Whether somebody is or was in a room where files are sent encrypted. */
function hasEncryptedRoom(reader: Reader, userId: string): boolean {
  for (const { room } of roomsOf(reader, userId)) {
    if (stateEventPosition(reader, room, 'm.room.encryption', '') !== undefined) return true;
  }
  return false;
}
