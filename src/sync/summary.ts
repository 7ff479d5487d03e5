/** The summary of a room, from which clients that do not know all its members can name it. */
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, headOf, membersOf, type Room, stateContent } from '#projections/rooms/queries.ts';
import { membershipIn } from '#src/rooms/visibility.ts';
import type { Position } from '#streams/event-log.ts';
import { Lru } from './lru.ts';
import type { Pacer } from './pacer.ts';
import { MEMBER_KEY, membersAtVersion, type StateSource } from './room-state.ts';

/** How many members name a room. Source: client-server API, `m.heroes`. */
const HEROES = 5;
/** Most members that are looked at for heroes. */
const MAX_MEMBERS_LOOKED_AT = 10_000;
/** Members that are read at a time. */
const SLICE_ROWS = 512;
/** Rooms whose heroes are remembered. */
const MAX_ROOMS_REMEMBERED = 2000;

/** Members who can name a room, one more than are shown, so that a hero who asks can be left out. */
interface Candidates {
  readonly stateVersion: number;
  readonly userIds: readonly string[];
}

/** Finds the heroes of rooms, and remembers them for as long as a room's state does not change. */
export class Heroes {
  readonly #remembered = new Lru<number, Candidates>(MAX_ROOMS_REMEMBERED);

  /** The users that name a room to somebody: the members who have been there longest, or else those who left. */
  async of(reader: Reader, room: Room, userId: string, pacer: Pacer): Promise<string[]> {
    const stateVersion = headOf(reader, room.id)?.stateVersion ?? 0;
    let candidates = this.#remembered.get(room.id);
    if (candidates?.stateVersion !== stateVersion) {
      candidates = { stateVersion, userIds: candidatesOf(await firstMembers(reader, room, pacer)) };
      this.#remembered.set(room.id, candidates);
    }
    return withoutOneself(candidates.userIds, userId);
  }
}

/** The users that named a room to somebody at a version of its state, for those who may not know what it is now. */
export async function heroesAt(source: StateSource, version: number, userId: string): Promise<string[]> {
  const members: Member[] = [];
  for (const [key, event] of await membersAtVersion(source, version)) {
    const membership = membershipIn(eventAt(source.reader, event)?.contentJson ?? '{}');
    if (membership !== undefined) members.push({ userId: key.slice(MEMBER_KEY.length), membership, event });
    if (members.length >= MAX_MEMBERS_LOOKED_AT) break;
    if (source.pacer.isDue) await source.pacer.pause();
  }
  return withoutOneself(candidatesOf(members), userId);
}

function withoutOneself(candidates: readonly string[], userId: string): string[] {
  return candidates.filter((hero) => hero !== userId).slice(0, HEROES);
}

interface Member {
  readonly userId: string;
  readonly membership: string;
  readonly event: Position;
}

/** As many members as are looked at. */
async function firstMembers(reader: Reader, room: Room, pacer: Pacer): Promise<Member[]> {
  const found: Member[] = [];
  while (found.length < MAX_MEMBERS_LOOKED_AT) {
    const limit = Math.min(SLICE_ROWS, MAX_MEMBERS_LOOKED_AT - found.length);
    const slice = [...membersOf(reader, room.id, { after: found.at(-1)?.userId, limit })];
    found.push(...slice);
    if (slice.length < limit) break;
    if (pacer.isDue) await pacer.pause();
  }
  return found;
}

function candidatesOf(members: Iterable<Member>): string[] {
  const present: [event: number, userId: string][] = [];
  const gone: [event: number, userId: string][] = [];
  let lookedAt = 0;
  for (const { userId, membership, event } of members) {
    if (++lookedAt > MAX_MEMBERS_LOOKED_AT) break;
    const list = membership === 'join' || membership === 'invite' ? present : gone;
    if (membership !== 'knock') list.push([event, userId]);
  }
  // The one who asks is among those present, and is left out.
  const shown = present.length > 1 ? present : [...present, ...earliest(gone)];
  return earliest(shown).map(([, userId]) => userId);
}

function earliest(members: [event: number, userId: string][]): [number, string][] {
  return members.sort(([a], [b]) => a - b).slice(0, HEROES + 1);
}

/** Whether the room has neither a name nor an alias, so that its members name it. */
export function isNamedByMembers(reader: Reader, room: Room): boolean {
  return (
    !isText(stateContent(reader, room.id, 'm.room.name')?.name) &&
    !isText(stateContent(reader, room.id, 'm.room.canonical_alias')?.alias)
  );
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/** JSON text of a room's `summary`. */
export function summaryJson(reader: Reader, room: Room, heroes: readonly string[] | undefined): string {
  const head = headOf(reader, room.id);
  const counts = `"m.invited_member_count":${head?.invited ?? 0},"m.joined_member_count":${head?.joined ?? 0}`;
  return heroes === undefined ? `{${counts}}` : `{"m.heroes":${JSON.stringify(heroes)},${counts}}`;
}
