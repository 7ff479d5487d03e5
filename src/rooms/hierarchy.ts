import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, isServerIn, membershipOf } from '#projections/rooms/queries.ts';
import { forbidden, invalidParam } from '#src/http/errors.ts';
import { meetsCondition } from './membership.ts';
import type { RemoteRoom, RemoteSpaces } from './remote-spaces.ts';
import { maySeeSummary, type RoomSummary, roomSummary } from './room-summary.ts';
import { type ChildLink, childLinks, inOrder, viaOf } from './space-children.ts';

/** Rooms of one answer, if nothing is said and at most. */
export const DEFAULT_ROOMS_PER_PAGE = 50;
export const MAX_ROOMS_PER_PAGE = 200;
/** How deep a walk goes at most. */
export const MAX_DEPTH = 50;
/** Links that one walk follows at most; what is behind is not found. */
const MAX_LINKS_FOLLOWED = 10_000;
/** Rooms for which other servers are asked in one request. */
const MAX_ROOMS_ASKED_FOR = 50;
/** Rooms that are looked at before others get their turn. */
const ROOMS_PER_TURN = 32;

export interface HierarchyContext {
  readonly reader: Reader;
  readonly serverName: string;
  readonly remoteSpaces: Pick<RemoteSpaces, 'room'>;
}

export interface HierarchyQuery {
  readonly roomId: string;
  readonly userId: string;
  /** Set for administrators: all rooms that this server knows, whoever may see them, and no others. */
  readonly seesAll?: boolean;
  readonly suggestedOnly: boolean | undefined;
  readonly maxDepth: number | undefined;
  readonly limit: number | undefined;
  /** Where an earlier answer said to go on. */
  readonly from: string | undefined;
}

export interface HierarchyPage {
  readonly rooms: readonly (RoomSummary & { readonly children_state: readonly ChildLink[] })[];
  readonly next_batch?: string;
}

/** A room on the way through the tree. */
interface Place {
  readonly roomId: string;
  readonly depth: number;
  readonly via: readonly string[];
  /** What the server of the space said of it. */
  readonly told: RoomSummary | undefined;
}

interface FoundRoom {
  readonly summary: RoomSummary;
  readonly links: readonly ChildLink[];
  readonly remote: RemoteRoom | undefined;
}

/**
 * Walks through the rooms of a space, each space's before what comes after it. A page is found by walking from the start: nothing
 * is remembered between pages, so a token is good for ever, and what changes meanwhile may be missed or seen twice.
 * Source: client-server API, `GET /rooms/{roomId}/hierarchy`.
 *
 * @throws {MatrixError} M_FORBIDDEN if the user may not see the space; M_INVALID_PARAM for a token that is none, or that is
 *   of a request with other parameters.
 */
export async function readHierarchy(context: HierarchyContext, query: HierarchyQuery): Promise<HierarchyPage> {
  const token = query.from === undefined || query.from === '' ? undefined : readToken(query.from, query);
  const suggestedOnly = token?.suggestedOnly ?? query.suggestedOnly ?? false;
  const maxDepth = Math.min(token?.maxDepth ?? query.maxDepth ?? MAX_DEPTH, MAX_DEPTH);
  const offset = token?.offset ?? 0;
  const limit = Math.min(query.limit ?? DEFAULT_ROOMS_PER_PAGE, MAX_ROOMS_PER_PAGE);
  const rooms: HierarchyPage['rooms'][number][] = [];
  let passed = 0;
  for await (const { summary, links } of walk(context, query, suggestedOnly, maxDepth)) {
    passed += 1;
    if (passed <= offset) continue;
    if (rooms.length === limit) {
      return { rooms, next_batch: writeToken({ offset: offset + limit, maxDepth, suggestedOnly }) };
    }
    rooms.push({ ...summary, children_state: links });
  }
  return { rooms };
}

async function* walk(
  context: HierarchyContext,
  { roomId, userId, seesAll = false }: HierarchyQuery,
  suggestedOnly: boolean,
  maxDepth: number,
): AsyncGenerator<FoundRoom> {
  const finder = new RoomFinder(context, seesAll ? undefined : userId, suggestedOnly);
  const stack: Place[] = [{ roomId, depth: 0, via: [], told: undefined }];
  const seen = new Set<string>();
  let followed = 0;
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    if (seen.has(place.roomId)) continue;
    seen.add(place.roomId);
    if (seen.size % ROOMS_PER_TURN === 0) await nextTurn();
    const found = await finder.find(place);
    if (found === undefined) {
      if (place.depth === 0) throw forbidden('You may not look into this room, or it is not there.');
      continue;
    }
    yield found;
    if (place.depth === maxDepth) continue;
    const { depth } = place;
    const links = found.links.slice(0, MAX_LINKS_FOLLOWED - followed);
    followed += links.length;
    for (const link of links.toReversed()) {
      const child = link.state_key;
      if (found.remote?.inaccessible.has(child)) continue;
      stack.push({ roomId: child, depth: depth + 1, via: viaOf(link), told: found.remote?.children.get(child) });
    }
  }
}

/** Finds the rooms of one walk: those that this server is in, then what others say. */
class RoomFinder {
  readonly #context: HierarchyContext;
  /** Undefined for who sees all. */
  readonly #userId: string | undefined;
  readonly #suggestedOnly: boolean;
  #asked = 0;

  constructor(context: HierarchyContext, userId: string | undefined, suggestedOnly: boolean) {
    this.#context = context;
    this.#userId = userId;
    this.#suggestedOnly = suggestedOnly;
  }

  /** The room, if the user may see it. */
  async find(place: Place): Promise<FoundRoom | undefined> {
    const { reader, serverName } = this.#context;
    const room = findRoom(reader, place.roomId);
    if (this.#userId === undefined) {
      if (room === undefined) return undefined;
      const links = childLinks(reader, room, this.#suggestedOnly);
      return { summary: roomSummary(reader, room), links, remote: undefined };
    }
    if (room !== undefined && isServerIn(reader, room.id, serverName)) {
      if (!maySeeSummary(reader, room, this.#userId)) return undefined;
      return {
        summary: roomSummary(reader, room),
        links: childLinks(reader, room, this.#suggestedOnly),
        remote: undefined,
      };
    }
    // Of a room that is no space, nothing more is to be learnt than what the server of the space said.
    if (place.told !== undefined && place.told.room_type !== 'm.space') return this.#seen(place.told, undefined);
    const remote = await this.#ask(place);
    const summary = remote?.summary ?? place.told;
    return summary && this.#seen(summary, remote);
  }

  async #ask({ roomId, via }: Place): Promise<RemoteRoom | undefined> {
    if (via.length === 0 || this.#asked >= MAX_ROOMS_ASKED_FOR) return undefined;
    this.#asked += 1;
    return this.#context.remoteSpaces.room(roomId, via, this.#suggestedOnly);
  }

  #seen(summary: RoomSummary, remote: RemoteRoom | undefined): FoundRoom | undefined {
    if (this.#userId === undefined || !maySeeRemote(this.#context.reader, summary, this.#userId)) return undefined;
    return { summary, links: inOrder(remote?.links ?? [], this.#suggestedOnly), remote };
  }
}

/** Whether what another server told this one of a room is for a user. */
export function maySeeRemote(reader: Reader, summary: RoomSummary, userId: string): boolean {
  const room = findRoom(reader, summary.room_id);
  const membership = room && membershipOf(reader, room.id, userId);
  if (summary.world_readable || membership === 'invite') return true;
  if (membership === 'ban') return false;
  const { join_rule: joinRule = 'public', allowed_room_ids: allowed = [] } = summary;
  if (joinRule === 'public' || joinRule === 'knock' || joinRule === 'knock_restricted') return true;
  const conditions = allowed.map((roomId) => ({ type: 'm.room_membership', room_id: roomId }));
  return joinRule === 'restricted' && meetsCondition(reader, userId, conditions);
}

interface Token {
  /** Rooms that were given before. */
  readonly offset: number;
  readonly maxDepth: number;
  readonly suggestedOnly: boolean;
}

function writeToken({ offset, maxDepth, suggestedOnly }: Token): string {
  return `h${offset}_${maxDepth}_${suggestedOnly ? 1 : 0}`;
}

function readToken(text: string, { suggestedOnly, maxDepth }: HierarchyQuery): Token {
  const match = /^h(\d{1,9})_(\d{1,3})_([01])$/.exec(text);
  if (match === null) throw invalidParam('from is not a token of this list.');
  const token = { offset: Number(match[1]), maxDepth: Number(match[2]), suggestedOnly: match[3] === '1' };
  const isChanged =
    (suggestedOnly !== undefined && suggestedOnly !== token.suggestedOnly) ||
    (maxDepth !== undefined && Math.min(maxDepth, MAX_DEPTH) !== token.maxDepth);
  if (isChanged) throw invalidParam('suggested_only and max_depth cannot change from one page to the next.');
  return token;
}
