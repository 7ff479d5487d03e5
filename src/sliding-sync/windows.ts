/** Which rooms the rules of a request reach, and what is to be told of each. */
import { findRoom } from '#projections/rooms/queries.ts';
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
  /** Whether the client was told of a room. */
  readonly wasSent: (room: Position) => boolean;
}

interface Reached {
  readonly room: ListedRoom;
  readonly configs: RoomConfig[];
  readonly lists: string[];
  isSubscribed: boolean;
}

/** Applies the rules to the rooms of a user. */
export function windowsOf(options: WindowOptions): Windows {
  const { rules, list, reader } = options;
  const reached = new Map<Position, Reached>();
  const counts = new Map<string, number>();
  const reach = (room: ListedRoom, config: RoomConfig): Reached => {
    const known = reached.get(room.id);
    const entry: Reached = known ?? { room, configs: [], lists: [], isSubscribed: false };
    if (known === undefined) reached.set(room.id, entry);
    if (!entry.configs.includes(config)) entry.configs.push(config);
    return entry;
  };
  const isShown = shownTest(options);
  const shown = list.sorted.filter(isShown);
  for (const one of rules.lists) {
    const rooms = filtered(options, shown, one);
    counts.set(one.name, rooms.length);
    for (const room of within(rooms, one.ranges)) reach(room, one.config).lists.push(one.name);
  }
  for (const [roomId, config] of rules.subscriptions) {
    const id = findRoom(reader, roomId)?.id;
    const room = id === undefined ? undefined : list.byId.get(id);
    if (room !== undefined && isSubscribable(room, isShown)) reach(room, config).isSubscribed = true;
  }
  const combine = combiner();
  const rooms = new Map<Position, WindowRoom>();
  for (const [id, { room, configs, lists, isSubscribed }] of reached) {
    rooms.set(id, { room, config: combine(configs), lists, isSubscribed });
  }
  return { rooms, counts };
}

/**
 * Rooms that the user has left are told of where the client knows them, and where somebody else removed the user; invites not
 * of those whom the user ignores. Source: MSC4186, "Lists".
 */
function shownTest({ ignored, wasSent, reader, userId }: WindowOptions): (room: ListedRoom) => boolean {
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
      default:
        return isRemoved || wasSent(id);
    }
  };
}

/** Who was in a room may subscribe to what it was until they left. */
function isSubscribable(room: ListedRoom, isShown: (room: ListedRoom) => boolean): boolean {
  return room.row.membership === 'leave' || isShown(room);
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

/** Combines what rules ask for; most rooms are reached by the same rules, and get the very same answer. */
function combiner(): (configs: readonly RoomConfig[]) => CombinedConfig {
  const numbers = new Map<RoomConfig, number>();
  const known = new Map<string, CombinedConfig>();
  return (configs) => {
    const name = configs
      .map((config) => {
        const number = numbers.get(config) ?? numbers.size;
        numbers.set(config, number);
        return number;
      })
      .join();
    const combined = known.get(name) ?? {
      timelineLimit: Math.max(...configs.map(({ timelineLimit }) => timelineLimit)),
      requiredState: new RequiredState(configs.map(({ requiredState }) => requiredState)),
    };
    known.set(name, combined);
    return combined;
  };
}
