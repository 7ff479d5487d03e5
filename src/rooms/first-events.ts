import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import type { EventToSend } from './event-writer.ts';

export type RoomPreset = 'private_chat' | 'public_chat' | 'trusted_private_chat';

/** What a client asks of a new room, checked. Source: client-server API, `POST /createRoom`. */
export interface NewRoom {
  readonly creator: string;
  readonly preset: RoomPreset;
  /** Content of the creator's join: display name and avatar. */
  readonly creatorProfile: JsonObject;
  readonly creationContent: JsonObject;
  /** The full alias, which nobody else gets while the room is made. */
  readonly canonicalAlias?: string;
  readonly initialState: readonly { readonly type: string; readonly stateKey: string; readonly content: JsonObject }[];
  readonly name?: string;
  readonly topic?: string;
  /** User id → content of the invite beside `membership` and `is_direct`: the invitee's profile. */
  readonly invitees: ReadonlyMap<string, JsonObject>;
  readonly isDirect: boolean;
  readonly powerLevelContentOverride: JsonObject;
}

interface Preset {
  readonly joinRule: string;
  /** Where they may not, no event says so: a room without one has `forbidden`, and other servers leave it out too. */
  readonly guestsCanJoin: boolean;
  readonly inviteesAreEqual: boolean;
}

/** What a preset says of a room. Source: client-server API, `POST /createRoom`, table of presets. */
const PRESETS: Readonly<Record<RoomPreset, Preset>> = {
  private_chat: { joinRule: 'invite', guestsCanJoin: true, inviteesAreEqual: false },
  trusted_private_chat: { joinRule: 'invite', guestsCanJoin: true, inviteesAreEqual: true },
  public_chat: { joinRule: 'public', guestsCanJoin: false, inviteesAreEqual: false },
};

const CREATOR_LEVEL = 100;
const STATE_DEFAULT_LEVEL = 50;
const ADMIN_LEVEL = 100;
/** Above every level that can be given where creators have infinite power, so that only they replace the room. */
const TOMBSTONE_LEVEL = 150;

/** The events that make a new room, in the order that the specification gives. */
export function firstEvents(room: NewRoom, rules: RoomVersionRules): EventToSend[] {
  const preset = PRESETS[room.preset];
  const events: EventToSend[] = [];
  const add = (type: string, stateKey: string, content: JsonObject): void => {
    events.push({ sender: room.creator, type, stateKey, content });
  };
  add('m.room.create', '', createContent(room, rules, preset.inviteesAreEqual));
  add('m.room.member', room.creator, { ...room.creatorProfile, membership: 'join' });
  const admins = [room.creator, ...(preset.inviteesAreEqual ? room.invitees.keys() : [])];
  add('m.room.power_levels', '', { ...defaultPowerLevels(admins, rules), ...room.powerLevelContentOverride });
  if (room.canonicalAlias !== undefined) add('m.room.canonical_alias', '', { alias: room.canonicalAlias });

  const given = new Set(room.initialState.map(({ type, stateKey }) => `${type}\0${stateKey}`));
  const addUnlessGiven = (type: string, content: JsonObject): void => {
    if (!given.has(`${type}\0`)) add(type, '', content);
  };
  addUnlessGiven('m.room.join_rules', { join_rule: preset.joinRule });
  addUnlessGiven('m.room.history_visibility', { history_visibility: 'shared' });
  if (preset.guestsCanJoin) addUnlessGiven('m.room.guest_access', { guest_access: 'can_join' });

  for (const { type, stateKey, content } of room.initialState) add(type, stateKey, content);
  if (room.name !== undefined) add('m.room.name', '', { name: room.name });
  if (room.topic !== undefined) {
    add('m.room.topic', '', {
      topic: room.topic,
      'm.topic': { 'm.text': [{ body: room.topic, mimetype: 'text/plain' }] },
    });
  }
  for (const [userId, profile] of room.invitees) {
    add('m.room.member', userId, { ...profile, membership: 'invite', ...(room.isDirect && { is_direct: true }) });
  }
  return events;
}

function createContent(room: NewRoom, rules: RoomVersionRules, inviteesAreEqual: boolean): JsonObject {
  const content: { [key: string]: JsonValue | undefined } = { ...room.creationContent, room_version: rules.version };
  // Where the sender says who made the room, a `creator` would be taken for one; elsewhere it is for the server to say.
  if (rules.authorization.creatorInContent) content['creator'] = room.creator;
  else delete content['creator'];
  if (rules.authorization.additionalCreators && inviteesAreEqual) {
    const named = content['additional_creators'];
    const creators = new Set<JsonValue>([...(Array.isArray(named) ? named : []), ...room.invitees.keys()]);
    creators.delete(room.creator);
    if (creators.size > 0) content['additional_creators'] = [...creators];
  }
  return content;
}

/** The power levels of a new room: its administrators, where they are not above all levels, and the usual of the rest. */
export function defaultPowerLevels(admins: readonly string[], rules: RoomVersionRules): JsonObject {
  const users = rules.authorization.privilegedCreators
    ? {}
    : Object.fromEntries(admins.map((userId) => [userId, CREATOR_LEVEL]));
  return {
    users,
    users_default: 0,
    events: {
      'm.room.name': STATE_DEFAULT_LEVEL,
      'm.room.avatar': STATE_DEFAULT_LEVEL,
      'm.room.canonical_alias': STATE_DEFAULT_LEVEL,
      'm.room.power_levels': ADMIN_LEVEL,
      'm.room.history_visibility': ADMIN_LEVEL,
      'm.room.encryption': ADMIN_LEVEL,
      'm.room.server_acl': ADMIN_LEVEL,
      'm.room.tombstone': rules.authorization.privilegedCreators ? TOMBSTONE_LEVEL : ADMIN_LEVEL,
    },
    events_default: 0,
    state_default: STATE_DEFAULT_LEVEL,
    ban: STATE_DEFAULT_LEVEL,
    kick: STATE_DEFAULT_LEVEL,
    redact: STATE_DEFAULT_LEVEL,
    invite: 0,
    historical: ADMIN_LEVEL,
  };
}
