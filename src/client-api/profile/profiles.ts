import type { Reader } from '#projections/engine/reader.ts';
import { fullProfileOf, profileOf } from '#projections/profiles/queries.ts';
import { PROFILE_SET, profileRecord, readProfile } from '#projections/profiles/records.ts';
import { roomById, roomsOf } from '#projections/rooms/queries.ts';
import type { JsonValue } from '#protocol/pdu.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Presence } from '#src/ephemeral/presence.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Rooms } from '#src/rooms/rooms.ts';
import { BEFORE_FIRST, type EventLog, type Position } from '#streams/event-log.ts';
import { changeUser } from '../user-stream.ts';
import { isMemberField, MAX_PROFILE_BYTES } from './fields.ts';

/**
 * Up to so many rooms a change of name or avatar is in all of them before it is answered, as people are used to; it takes
 * a fraction of a second. With more rooms the rest follows in the background.
 */
export const MAX_ROOMS_AWAITED = 200;
/** Users whose rooms are told in the background at the same time; beyond it requests wait, whatever the number of rooms. */
export const MAX_IN_BACKGROUND = 1000;
/**
 * Records at the end of the log that are looked through at the start for changes that not all rooms were told of: more than come
 * while one user's rooms are told.
 */
const MAX_RECORDS_RESUMED = 20_000;
/** Rooms of one user that are told at the same time: one group commit takes them together. */
export const ROOMS_AT_ONCE = 16;

export interface ProfilesOptions {
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly rooms: Rooms;
  readonly presence: Pick<Presence, 'announce'>;
  readonly newRecordId: () => Uint8Array;
  readonly logger: Logger;
}

/** Somebody's rooms being told of a profile. */
interface Spreading {
  done: Promise<void>;
  /** The profile changed again: rooms that were told already have to be told once more. */
  isStale: boolean;
}

/** Changes of local profiles, and the member events that show them in rooms. */
export class Profiles {
  readonly #options: ProfilesOptions;
  /** By user: at most one for each user that has more rooms than are awaited, or whose request is under way. */
  readonly #spreading = new Map<string, Spreading>();
  #resuming: Promise<void> = Promise.resolve();

  constructor(options: ProfilesOptions) {
    this.#options = options;
  }

  /**
   * Sets a field (already checked), or removes it if the value is undefined. With `isShown` false the rooms of the user are not told.
   * @throws {MatrixError} `M_PROFILE_TOO_LARGE`, `M_NOT_FOUND` for a user that is not ours.
   */
  async set(
    userId: string,
    field: string,
    value: JsonValue | undefined,
    { isShown = true }: { readonly isShown?: boolean } = {},
  ): Promise<void> {
    const { reader, newRecordId } = this.#options;
    const valueJson = value === undefined ? undefined : JSON.stringify(value);
    await changeUser(this.#options, userId, () => {
      const profile = fullProfileOf(reader, userId);
      const before = Object.hasOwn(profile, field) ? JSON.stringify(profile[field]) : undefined;
      if (before === valueJson) return [];
      if (value !== undefined) checkSize({ ...profile, [field]: value });
      return [profileRecord(newRecordId(), { userId, field, valueJson })];
    });
    if (!isMemberField(field) || !isShown) return;
    this.#options.presence.announce(userId);
    const roomCount = this.#joinedRooms(userId).length;
    const spread = this.#spread(userId);
    if (roomCount <= MAX_ROOMS_AWAITED || this.#spreading.size > MAX_IN_BACKGROUND) await spread;
  }

  /**
   * Tells the rooms that were not told when the server ended: those of the latest changes whose member events are older than the
   * change. A name that somebody took for one room since then stays.
   *
   * @param isShown whether rooms are told of a user at all.
   */
  resume(log: Pick<EventLog, 'readAll' | 'head'>, isShown: (userId: string) => boolean): void {
    this.#resuming = this.#resume(log, isShown).catch((error: unknown) => {
      this.#options.logger.error({ err: error }, 'rooms that were not told of profiles are not told');
    });
  }

  /** Resolves when no rooms are being told of anything: for an orderly stop. */
  async settled(): Promise<void> {
    await Promise.all([this.#resuming, ...Array.from(this.#spreading.values(), ({ done }) => done)]);
  }

  async #resume(log: Pick<EventLog, 'readAll' | 'head'>, isShown: (userId: string) => boolean): Promise<void> {
    const { reader } = this.#options;
    const changed = new Map<string, Position>();
    for await (const records of log.readAll(Math.max(BEFORE_FIRST, log.head() - MAX_RECORDS_RESUMED))) {
      for (const record of records) {
        const set = record.kind === PROFILE_SET ? readProfile(record) : undefined;
        if (set !== undefined && isMemberField(set.field)) changed.set(set.userId, record.position);
      }
    }
    for (const [userId, changedAt] of changed) {
      if (!isShown(userId)) continue;
      const untold = Array.from(roomsOf(reader, userId)).flatMap(({ room, membership, event }) =>
        membership === 'join' && event < changedAt ? (roomById(reader, room)?.roomId ?? []) : [],
      );
      const rooms = untold.values();
      await Promise.all(Array.from({ length: ROOMS_AT_ONCE }, () => this.#tellRooms(userId, rooms)));
    }
  }

  #spread(userId: string): Promise<void> {
    const running = this.#spreading.get(userId);
    if (running !== undefined) {
      running.isStale = true;
      return running.done;
    }
    const spreading: Spreading = { done: Promise.resolve(), isStale: true };
    this.#spreading.set(userId, spreading);
    spreading.done = this.#spreadUntilFresh(userId, spreading);
    return spreading.done;
  }

  async #spreadUntilFresh(userId: string, spreading: Spreading): Promise<void> {
    try {
      while (spreading.isStale) {
        spreading.isStale = false;
        const rooms = this.#joinedRooms(userId).values();
        // All of them take from the same iterator, so each room is told once.
        await Promise.all(Array.from({ length: ROOMS_AT_ONCE }, () => this.#tellRooms(userId, rooms)));
      }
    } catch (error) {
      this.#options.logger.error({ err: error, userId }, 'a profile was not shown in rooms');
    } finally {
      // In the same breath as the last look at isStale, so that nobody can mark what is not looked at any more.
      this.#spreading.delete(userId);
    }
  }

  async #tellRooms(userId: string, rooms: Iterable<string>): Promise<void> {
    for (const roomId of rooms) {
      try {
        await this.#tellRoom(userId, roomId);
      } catch (error) {
        // One room that forbids it, or is busy, must not keep the others from being told.
        const { logger } = this.#options;
        if (!(error instanceof MatrixError)) logger.error({ err: error, userId, roomId }, 'a profile was not shown');
        else logger.info({ errcode: error.errcode, userId, roomId }, 'a room did not take a profile');
      }
    }
  }

  async #tellRoom(userId: string, roomId: string): Promise<void> {
    const { reader, rooms } = this.#options;
    const shown = rooms.state(roomId, 'm.room.member', userId)?.content;
    const profile = profileOf(reader, userId);
    if (shown === undefined || shown.membership !== 'join') return;
    if (shown.displayname === profile.displayname && shown.avatar_url === profile.avatar_url) return;
    await rooms.send(roomId, {
      sender: userId,
      type: 'm.room.member',
      stateKey: userId,
      content: { ...profile, membership: 'join' },
    });
  }

  #joinedRooms(userId: string): string[] {
    const { reader } = this.#options;
    const roomIds: string[] = [];
    for (const { room, membership } of roomsOf(reader, userId)) {
      const roomId = membership === 'join' ? roomById(reader, room)?.roomId : undefined;
      if (roomId !== undefined) roomIds.push(roomId);
    }
    return roomIds;
  }
}

function checkSize(profile: object): void {
  if (Buffer.byteLength(JSON.stringify(profile)) > MAX_PROFILE_BYTES) {
    throw new MatrixError('M_PROFILE_TOO_LARGE', `A profile may have at most ${MAX_PROFILE_BYTES} bytes of JSON.`);
  }
}
