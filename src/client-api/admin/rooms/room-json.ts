import { isListed } from '#projections/directory/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, headOf, type Room, serverMemberCount, stateContent, stateEvent } from '#projections/rooms/queries.ts';

/** A room as Synapse's lists of rooms have it. */
export interface ListedRoom {
  readonly room_id: string;
  readonly name: string | null;
  readonly canonical_alias: string | null;
  readonly joined_members: number;
  readonly joined_local_members: number;
  readonly version: string;
  readonly creator: string | null;
  readonly encryption: string | null;
  readonly federatable: boolean;
  readonly public: boolean;
  readonly join_rules: string | null;
  readonly guest_access: string | null;
  readonly history_visibility: string | null;
  /** How often the state has changed. */
  readonly state_events: number;
  readonly room_type: string | null;
}

/** What a list says of a room. */
export function listedRoom(reader: Reader, serverName: string, room: Room): ListedRoom {
  const text = (type: string, key: string): string | null => {
    const value = stateContent(reader, room.id, type)?.[key];
    return typeof value === 'string' && value !== '' ? value : null;
  };
  const head = headOf(reader, room.id);
  const create = eventAt(reader, room.id);
  return {
    room_id: room.roomId,
    name: text('m.room.name', 'name'),
    canonical_alias: text('m.room.canonical_alias', 'alias'),
    joined_members: head?.joined ?? 0,
    joined_local_members: serverMemberCount(reader, room.id, serverName),
    version: room.version,
    creator: create?.sender ?? null,
    encryption: text('m.room.encryption', 'algorithm'),
    federatable: stateContent(reader, room.id, 'm.room.create')?.['m.federate'] !== false,
    public: isListed(reader, room.roomId),
    join_rules: text('m.room.join_rules', 'join_rule'),
    guest_access: text('m.room.guest_access', 'guest_access'),
    history_visibility: text('m.room.history_visibility', 'history_visibility'),
    state_events: head?.stateVersion ?? 0,
    room_type: text('m.room.create', 'type'),
  };
}

/** What one room's page says beyond its row in a list. */
export function roomDetails(reader: Reader, serverName: string, room: Room): object {
  const topic = stateContent(reader, room.id, 'm.room.topic')?.['topic'];
  const avatar = stateContent(reader, room.id, 'm.room.avatar')?.['url'];
  const tombstone = stateEvent(reader, room.id, 'm.room.tombstone', '');
  return {
    ...listedRoom(reader, serverName, room),
    topic: typeof topic === 'string' ? topic : null,
    avatar: typeof avatar === 'string' ? avatar : null,
    forgotten: false,
    tombstoned: tombstone !== undefined,
  };
}
