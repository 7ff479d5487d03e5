/** Which rooms the rules of a request reach, and what is to be told of each. */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, userRoomOf } from '#projections/rooms/queries.ts';
import { blocksInvites } from '#src/rooms/invite-permission.ts';
import type { Position } from '#streams/event-log.ts';
import { compileListFilters, type FilterContext } from './list-filters.ts';
import type { List, Range, RoomConfig, Rules } from './request.ts';
import { RequiredState } from './required-state.ts';
import type { ListedRoom, RoomList } from './room-list.ts';

/** What is to be told of a room by all rules that reach it. */
export interface CombinedConfig {
  readonly timelineLimit: number;
  readonly requiredState: RequiredState;
}

/** A room that the rules reach. */
export interface WindowRoom {
  readonly room: ListedRoom;
  readonly config: CombinedConfig;
  /** Names of the lists that reach it. */
  readonly lists: readonly string[];
  readonly isSubscribed: boolean;
}

export interface Windows {
  /** By internal id, in the order of the lists. */
  readonly rooms: ReadonlyMap<Position, WindowRoom>;
  /** How many rooms each list has, whatever its ranges. */
  readonly counts: ReadonlyMap<string, number>;
}

export interface WindowOptions extends FilterContext {
  readonly rules: Rules;
  readonly list: RoomList;
  readonly ignored: ReadonlySet<string>;
  /** The membership by which the client was told of a room, if it was. */
  readonly sentMembership: (room: Position) => string | undefined;
}

/** Rules that reach a room together; the many rooms that the same rules reach share one. */
interface Reach {
  readonly configs: readonly RoomConfig[];
  readonly lists: readonly string[];
  readonly isSubscribed: boolean;
  /** This and one list more. */
  readonly more: Map<List, Reach>;
  config: CombinedConfig | undefined;
}

type RoomTest = (room: ListedRoom) => boolean;

/** Applies the rules to the rooms of a user. */
export function windowsOf(options: WindowOptions): Windows {
  const { rules, list, reader } = options;
  const nothing = reachOf([], [], false);
  const reached = new Map<Position, Reach>();
  const counts = new Map<string, number>();
  const isShown = shownTest(options);
  const shown = list.sorted.filter(isShown);
  for (const one of rules.lists) {
    const rooms = filtered(options, shown, one);
    counts.set(one.name, rooms.length);
    for (const { id } of within(rooms, one.ranges)) reached.set(id, withList(reached.get(id) ?? nothing, one));
  }
  for (const [roomId, config] of rules.subscriptions) {
    const id = findRoom(reader, roomId)?.id;
    const room = id === undefined ? undefined : list.byId.get(id);
    if (room === undefined || !isSubscribable(options, room, isShown)) continue;
    reached.set(room.id, withSubscription(reached.get(room.id) ?? nothing, config));
  }
  const rooms = new Map<Position, WindowRoom>();
  for (const [id, reach] of reached) {
    const room = list.byId.get(id);
    reach.config ??= combined(reach.configs);
    const { config, lists, isSubscribed } = reach;
    if (room !== undefined) rooms.set(id, { room, config, lists, isSubscribed });
  }
  return { rooms, counts };
}

/**
 * Rooms that the user has left are told of where the client knows them, and where somebody else removed the user; invites not
 * of those whom the user ignores. A room that was forgotten is told of until the client knows that it was left.
 * Source: MSC4186, "Lists".
 */
function shownTest({ ignored, sentMembership, reader, userId }: WindowOptions): RoomTest {
  let hasInvitesBlocked: boolean | undefined;
  return ({ id, row, by, isRemoved }) => {
    switch (row.membership) {
      case 'join':
      case 'knock':
        return true;
      case 'invite':
        if (by !== undefined && ignored.has(by)) return false;
        hasInvitesBlocked ??= blocksInvites(reader, userId);
        return !hasInvitesBlocked;
      default: {
        const sent = sentMembership(id);
        if (!isRemoved && sent === undefined) return false;
        return !isForgotten(reader, userId, id) || (sent !== undefined && sent !== row.membership);
      }
    }
  };
}

/** Whether a user has taken a room out of their history; what is known of rooms by what happened there may not say so. */
export function isForgotten(reader: Reader, userId: string, room: Position): boolean {
  return userRoomOf(reader, userId, room)?.forgotten === true;
}

/** Who was in a room may subscribe to what it was until they left. */
function isSubscribable({ reader, userId }: FilterContext, room: ListedRoom, isShown: RoomTest): boolean {
  return isShown(room) || (room.row.membership === 'leave' && !isForgotten(reader, userId, room.id));
}

function filtered(context: FilterContext, rooms: readonly ListedRoom[], { filters }: List): readonly ListedRoom[] {
  const passes = compileListFilters(context, filters);
  return passes === undefined ? rooms : rooms.filter(passes);
}

function within(rooms: readonly ListedRoom[], ranges: readonly Range[] | undefined): Iterable<ListedRoom> {
  if (ranges === undefined) return rooms;
  const found = new Set<ListedRoom>();
  for (const [first, last] of ranges) for (const room of rooms.slice(first, last + 1)) found.add(room);
  return found;
}

function reachOf(configs: readonly RoomConfig[], lists: readonly string[], isSubscribed: boolean): Reach {
  return { configs, lists, isSubscribed, more: new Map(), config: undefined };
}

function withList({ more, configs, lists, isSubscribed }: Reach, list: List): Reach {
  const known = more.get(list);
  if (known !== undefined) return known;
  const reach = reachOf([...configs, list.config], [...lists, list.name], isSubscribed);
  more.set(list, reach);
  return reach;
}

function withSubscription({ configs, lists }: Reach, config: RoomConfig): Reach {
  return reachOf([...configs, config], lists, true);
}

function combined(configs: readonly RoomConfig[]): CombinedConfig {
  return {
    timelineLimit: Math.max(...configs.map(({ timelineLimit }) => timelineLimit)),
    requiredState: new RequiredState(configs.map(({ requiredState }) => requiredState)),
  };
}
