/** Whom somebody may find in the user directory, and under which names. */
import type { Reader } from '#projections/engine/reader.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import { eventAt, isServerIn, roomsOf, stateContent } from '#projections/rooms/queries.ts';
import type { DirectoryCandidate } from '#projections/user-directory/projection.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Position } from '#streams/event-log.ts';

/** Rooms of one user that are looked at for one that lets them be seen. */
const MAX_ROOMS_PER_USER = 1000;

/** What is shown of a user. */
export interface ShownProfile {
  readonly displayName: string | undefined;
  readonly avatarUrl: string | undefined;
}

/**
 * Looks up whom one user may see: who is in a room with them, or in a room that anybody can join or read. Made for one
 * request: it remembers which rooms are such.
 */
export class VisibleProfiles {
  readonly #reader: Reader;
  readonly #serverName: string;
  readonly #userId: string;
  readonly #ownRooms: ReadonlySet<Position>;
  readonly #open = new Map<Position, boolean>();

  constructor(reader: Reader, serverName: string, userId: string) {
    this.#reader = reader;
    this.#serverName = serverName;
    this.#userId = userId;
    this.#ownRooms = new Set(joinedRoomsOf(reader, userId).map(({ room }) => room));
  }

  /** The profiles under which a user may be seen: one for each of their names, none for who may not be seen. */
  *of({ userId, isLocal }: DirectoryCandidate): Generator<ShownProfile> {
    const names = new Set<string>();
    let rooms = 0;
    for (const { room, event } of joinedRoomsOf(this.#reader, userId)) {
      if (++rooms > MAX_ROOMS_PER_USER) return;
      // Being in a room with oneself says nothing.
      const isShared = userId !== this.#userId && this.#ownRooms.has(room);
      if (!isShared && !this.#isOpen(room)) continue;
      if (isLocal) {
        const { displayname, avatar_url } = profileOf(this.#reader, userId);
        yield { displayName: displayname, avatarUrl: avatar_url };
        return;
      }
      // A remote user is shown as in a room that may be seen: what they are called elsewhere is nobody's business here.
      const profile = this.#profileIn(event);
      const name = profile.displayName ?? '';
      if (names.has(name)) continue;
      names.add(name);
      yield profile;
    }
  }

  #profileIn(event: Position): ShownProfile {
    const member = eventAt(this.#reader, event);
    const content = member === undefined ? {} : (parseJson(member.contentJson) as JsonObject);
    const { displayname, avatar_url } = content;
    return {
      displayName: typeof displayname === 'string' ? displayname : undefined,
      avatarUrl: typeof avatar_url === 'string' ? avatar_url : undefined,
    };
  }

  /** Whether anybody can join or read a room, and the server is in it, so that it knows. */
  #isOpen(room: Position): boolean {
    const known = this.#open.get(room);
    if (known !== undefined) return known;
    const isOpen =
      isServerIn(this.#reader, room, this.#serverName) &&
      (stateContent(this.#reader, room, 'm.room.join_rules')?.join_rule === 'public' ||
        stateContent(this.#reader, room, 'm.room.history_visibility')?.history_visibility === 'world_readable');
    this.#open.set(room, isOpen);
    return isOpen;
  }
}

function joinedRoomsOf(reader: Reader, userId: string) {
  return [...roomsOf(reader, userId)].filter(({ membership }) => membership === 'join');
}
