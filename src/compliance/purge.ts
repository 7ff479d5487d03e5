/** What administrators remove for good: a room, the history of one before an event, a media. */
import { PASSWORD_SECTION } from '#projections/accounts/records.ts';
import type { RetentionPolicy } from '#projections/compliance/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { StoredMedia } from '#projections/media/projection.ts';
import { MEDIA_STORED } from '#projections/media/records.ts';
import { knownEvent } from '#projections/rooms/known-events.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { forbidden, notFound } from '#src/http/errors.ts';
import type { EventLog, LogRecord, Position } from '#streams/event-log.ts';
import {
  type Circumstances,
  decide,
  onHold,
  type Request,
  type StandingHold,
  type Verdict,
} from './decision/decide.ts';
import type { Destruction, Finished } from './destruction/destruction.ts';
import type { Holds } from './holds.ts';
import { type ClassifiedItem, itemsOf, mediaNamedBy } from './items.ts';
import { Ledger } from './ledger.ts';
import { MediaInHeldRooms } from './media-in-rooms.ts';
import { roomRetention } from './retention-policy.ts';

export interface PurgesOptions {
  readonly log: EventLog;
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly destruction: Destruction;
  readonly holds: Holds;
  readonly policy: RetentionPolicy;
  /** Keeps what is sent to a room waiting until work on it is done. */
  readonly alone: <T>(room: { readonly roomId: string }, work: () => Promise<T>) => Promise<T>;
  /** See the destruction's. */
  readonly removeFile: (sha256: string) => Promise<boolean>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** What became of a purge. */
export interface Purged extends Finished {
  /** Items that were kept, by holds or by minimum lifetimes. */
  readonly kept: number;
}

/** Where a purge of history ends. */
export type PurgeUpTo = { readonly eventId: string } | { readonly beforeMs: number };

export class Purges {
  readonly #options: PurgesOptions;

  constructor(options: PurgesOptions) {
    this.#options = options;
  }

  /**
   * Destroys a room: all of its events, their skeletons too, as if this server had never known it. Its members are to be out of it
   * before. All or nothing: a room of which a part is on hold stays.
   * @throws {MatrixError} M_NOT_FOUND, or M_FORBIDDEN with the holds or the rule that keeps it.
   */
  async room(roomId: string): Promise<Finished> {
    const { destruction, alone, holds } = this.#options;
    return alone({ roomId }, async () => {
      const items = await this.#removable(roomId);
      await holds.whileTheyStand(async (standing) => {
        const held = items.map((item) => onHold(item, standing)).find((one) => one !== undefined);
        if (held !== undefined) throw forbidden(`The room stays: ${held.why}`);
        const why = 'A room was removed.';
        await destruction.destroy({ cause: 'room_purge', requestId: null, why, items, rooms: [roomId] });
      });
      return destruction.finish();
    });
  }

  /**
   * Asks whether a room may be destroyed, before anybody is taken out of it.
   * @throws {MatrixError} as {@link room}
   */
  async checkRoom(roomId: string): Promise<void> {
    await this.#removable(roomId);
  }

  /** All that there is of a room, if all of it may go. */
  async #removable(roomId: string): Promise<ClassifiedItem[]> {
    const { log, reader } = this.#options;
    const room = findRoom(reader, roomId);
    if (room === undefined) throw notFound('There is no such room here.');
    const circumstances = this.#circumstances(roomId);
    const kept: { readonly item: ClassifiedItem; readonly verdict: Verdict }[] = [];
    const items: ClassifiedItem[] = [];
    for await (const record of log.readStream(room.stream)) {
      const item = wholeRecord(record, roomId);
      const verdict = decide(item, { cause: 'room_purge' } satisfies Request, circumstances);
      if (verdict.outcome === 'destroy') items.push(item);
      else if (verdict.outcome !== 'gone') kept.push({ item, verdict });
    }
    const [first] = kept;
    if (first === undefined) return items;
    const ledger = new Ledger({ ...this.#options, cause: 'room_purge', requestId: null });
    for (const { item, verdict } of kept) await ledger.take(item, verdict);
    await ledger.flush();
    throw forbidden(`The room stays: ${first.verdict.why}`);
  }

  /**
   * Destroys what was written in a room before an event or a time. State stays, and so do the skeletons of events, with which the
   * room is verified; what a hold or a minimum lifetime covers stays too.
   * @throws {MatrixError} M_NOT_FOUND for a room or an event that is not known here.
   */
  async history(roomId: string, upTo: PurgeUpTo): Promise<Purged> {
    const { log, reader, destruction } = this.#options;
    const room = findRoom(reader, roomId);
    if (room === undefined) throw notFound('There is no such room here.');
    const end = 'eventId' in upTo ? knownEvent(reader, upTo.eventId) : undefined;
    if ('eventId' in upTo && end === undefined) throw notFound('There is no such event here.');
    const ledger = new Ledger({ ...this.#options, cause: 'history_purge', requestId: null });
    const circumstances = this.#circumstances(roomId);
    for await (const record of log.readStream(room.stream)) {
      if (end !== undefined && record.position >= end.position && !isHistoryBefore(record, end.row.depth)) continue;
      for (const item of itemsOf(record, () => undefined)) {
        if (item.class !== 'messages') continue;
        if ('beforeMs' in upTo && (readPduRecord(record)?.pdu.origin_server_ts ?? 0) >= upTo.beforeMs) continue;
        const verdict = decide(item, { cause: 'history_purge' }, circumstances);
        await ledger.take(item, verdict);
      }
    }
    await ledger.flush();
    const kept = ledger.kept.reduce((sum, { count }) => sum + count, 0);
    return { ...(await destruction.finish()), kept };
  }

  /**
   * Asks whether a media may be removed, before it is.
   * @throws {MatrixError} M_FORBIDDEN with the holds or the rule that keeps it.
   */
  async checkMedia(media: StoredMedia): Promise<void> {
    const found = await this.#mediaItem(media);
    if (found === undefined) return;
    const item = await this.#located(found, this.#options.holds.standing());
    const verdict = decide(item, { cause: 'media_removal' }, this.#circumstances(undefined));
    if (verdict.outcome === 'destroy' || verdict.outcome === 'gone') return;
    const ledger = new Ledger({ ...this.#options, cause: 'media_removal', requestId: null });
    await ledger.take(item, verdict);
    await ledger.flush();
    throw forbidden(`The media stays: ${verdict.why}`);
  }

  /**
   * Destroys what is kept of a media that was removed: its file and its thumbnails, what its record says, and within minutes
   * what was left of its row.
   */
  async media(media: StoredMedia): Promise<void> {
    const { destruction, holds, removeFile } = this.#options;
    const item = await this.#mediaItem(media);
    if (item === undefined) return;
    const hasGone = await holds.whileTheyStand(async (standing) => {
      // A hold that was set since it was asked: the media is not shown any more, and its content stays.
      if (onHold(await this.#located(item, standing), standing) !== undefined) return false;
      const why = 'A media was removed.';
      await destruction.destroy({ cause: 'media_removal', requestId: null, why, items: [item] });
      return true;
    });
    if (!hasGone) return;
    await removeFile(media.sha256);
    destruction.finishSoon();
  }

  /**
   * Destroys the hash of a password that is in force no more, in the record at a position. What is left of it in free pages of the
   * tables goes when they are built anew next.
   */
  async formerPassword(userId: string, position: Position): Promise<void> {
    const record = await this.#options.log.readAt(position);
    if (record === undefined) return;
    const { recordedAtMs } = record;
    const isGone = record.sections[PASSWORD_SECTION] === null;
    const item = { position, sections: [PASSWORD_SECTION], class: 'account', userIds: [userId], recordedAtMs } as const;
    const ledger = new Ledger({ ...this.#options, cause: 'former_password', requestId: null });
    const verdict = decide({ ...item, isGone }, { cause: 'former_password' }, this.#circumstances(undefined));
    await ledger.take(item, verdict);
    await ledger.flush();
  }

  async #mediaItem({ stream, mediaId }: StoredMedia): Promise<ClassifiedItem | undefined> {
    for await (const record of this.#options.log.readStream(stream)) {
      if (record.kind !== MEDIA_STORED) continue;
      const item = itemsOf(record, () => undefined).find((one) => one.mediaId === mediaId);
      if (item !== undefined) return item;
    }
    return undefined;
  }

  /** The same with the rooms on hold in which events name it, as of now. */
  async #located(item: ClassifiedItem, standing: readonly StandingHold[]): Promise<ClassifiedItem> {
    const inRooms = new MediaInHeldRooms(this.#options);
    await inRooms.refresh(standing);
    return inRooms.located(item);
  }

  #circumstances(roomId: string | undefined): Circumstances {
    const { reader, holds, policy, clock } = this.#options;
    const room = roomId === undefined ? undefined : roomRetention(reader, roomId);
    return { policy, holds: holds.standing(), nowMs: clock(), room };
  }
}

/** Whether a record is of an event that was fetched later than those that follow it. */
function isHistoryBefore(record: LogRecord, depth: number): boolean {
  const read = record.kind === PDU_KIND ? readPduRecord(record) : undefined;
  return read?.meta.disposition === 'backfilled' && read.pdu.depth < depth;
}

/** All that a record of a room says, for whose removal the room is removed. */
function wholeRecord(record: LogRecord, roomId: string): ClassifiedItem {
  const { position, recordedAtMs, sections } = record;
  const read = record.kind === PDU_KIND ? readPduRecord(record) : undefined;
  const sender = read?.pdu.sender;
  const stateKey = read?.pdu.state_key;
  const all = sections.map((_, section) => section);
  const names = mediaNamedBy(record, all);
  const userIds = [sender, read?.pdu.type === 'm.room.member' ? stateKey : undefined].filter(
    (one) => one !== undefined,
  );
  return {
    position,
    sections: all,
    class: stateKey === undefined ? 'messages' : 'state',
    userIds: [...new Set(userIds)],
    roomId,
    recordedAtMs,
    ...(sections.every((section) => section === null) && { isGone: true }),
    ...(names && { names }),
  };
}
