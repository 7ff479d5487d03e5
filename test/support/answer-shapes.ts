/**
 * The parts of which answers of the client-server API (v1.19) are made. Written down here from reading the specification. Members
 * that are not named are let be, as clients let them be.
 */
import { z } from 'zod';

export const text = z.string();
export const int = z.int();
export const count = z.int().min(0);
export const flag = z.boolean();
export const userId = z.string().startsWith('@');
export const roomId = z.string().startsWith('!');
export const mxc = z.string().startsWith('mxc://');
export const anyObject = z.looseObject({});
export const nothing = anyObject;
export const list = <T extends z.ZodType>(of: T) => z.array(of);
export const map = <T extends z.ZodType>(of: T) => z.record(text, of);
export const object = z.looseObject;
export const enabled = object({ enabled: flag });

// Events, in the forms in which they are told.
const unsigned = object({
  age: int.optional(),
  membership: text.optional(),
  prev_content: anyObject.optional(),
  redacted_because: object({ type: z.literal('m.room.redaction'), sender: userId }).optional(),
  replaces_state: text.optional(),
  transaction_id: text.optional(),
  'm.relations': anyObject.optional(),
});
export const bareEvent = object({ type: text, content: anyObject });
export const eventWithoutRoom = bareEvent.extend({
  event_id: z.string().startsWith('$'),
  sender: userId,
  origin_server_ts: int,
  state_key: text.optional(),
  unsigned: unsigned.optional(),
});
export const event = eventWithoutRoom.extend({ room_id: roomId });
const stateEventWithoutRoom = eventWithoutRoom.extend({ state_key: text });
export const stateEvent = event.extend({ state_key: text });
export const strippedEvent = bareEvent.extend({ sender: userId, state_key: text });
export const eventList = list(event);
const eventsOf = <T extends z.ZodType>(of: T) => object({ events: list(of) });

// Sync.
const counts = object({ highlight_count: count, notification_count: count });
const stateSections = {
  state: eventsOf(stateEventWithoutRoom).optional(),
  state_after: eventsOf(stateEventWithoutRoom).optional(),
};
const timeline = eventsOf(eventWithoutRoom).extend({ limited: flag.optional(), prev_batch: text.optional() });
const joinedRoom = object({
  ...stateSections,
  account_data: eventsOf(bareEvent).optional(),
  ephemeral: eventsOf(bareEvent).optional(),
  summary: object({
    'm.heroes': list(userId).optional(),
    'm.joined_member_count': count.optional(),
    'm.invited_member_count': count.optional(),
  }).optional(),
  timeline: timeline.optional(),
  unread_notifications: counts.optional(),
  unread_thread_notifications: map(counts).optional(),
});
const leftRoom = object({
  ...stateSections,
  account_data: eventsOf(bareEvent).optional(),
  timeline: timeline.optional(),
});
export const deviceLists = object({ changed: list(userId).optional(), left: list(userId).optional() });
export const sync = object({
  next_batch: text,
  account_data: eventsOf(bareEvent).optional(),
  device_lists: deviceLists.optional(),
  device_one_time_keys_count: map(count).optional(),
  device_unused_fallback_key_types: list(text).optional(),
  presence: eventsOf(bareEvent.extend({ sender: userId })).optional(),
  rooms: object({
    join: z.record(roomId, joinedRoom).optional(),
    leave: z.record(roomId, leftRoom).optional(),
    invite: z.record(roomId, object({ invite_state: eventsOf(strippedEvent).optional() })).optional(),
    knock: z.record(roomId, object({ knock_state: eventsOf(strippedEvent).optional() })).optional(),
  }).optional(),
  to_device: eventsOf(bareEvent.extend({ sender: userId })).optional(),
});

// Rooms.
export const room = object({ room_id: roomId });
export const eventSent = object({ event_id: z.string().startsWith('$') });
export const membership = z.enum(['invite', 'join', 'knock', 'leave', 'ban']);
const publicRoom = object({
  room_id: roomId,
  num_joined_members: count,
  world_readable: flag,
  guest_can_join: flag,
  avatar_url: text.optional(),
  canonical_alias: text.optional(),
  join_rule: text.optional(),
  name: text.optional(),
  room_type: text.optional(),
  topic: text.optional(),
});
export const publicRooms = object({
  chunk: list(publicRoom),
  next_batch: text.optional(),
  prev_batch: text.optional(),
  total_room_count_estimate: count.optional(),
});
export const summary = publicRoom.extend({
  allowed_room_ids: list(text).optional(),
  encryption: text.optional(),
  room_version: text.optional(),
});
export const relations = object({
  chunk: eventList,
  next_batch: text.optional(),
  prev_batch: text.optional(),
  recursion_depth: count.optional(),
});
export const roomInfo = object({
  room_id: roomId,
  membership: membership.optional(),
  messages: object({ chunk: eventList, end: text, start: text.optional() }).optional(),
  state: list(stateEvent).optional(),
  visibility: z.enum(['private', 'public']).optional(),
  account_data: list(bareEvent).optional(),
});
export const oldEvents = object({ chunk: list(bareEvent).optional(), start: text.optional(), end: text.optional() });

// Keys.
export const signatures = map(map(text));
export const crossSigningKey = object({ user_id: userId, usage: list(text), keys: map(text) });
export const deviceKeys = object({
  user_id: userId,
  device_id: text,
  algorithms: list(text),
  keys: map(text),
  signatures: signatures.optional(),
  unsigned: object({ device_display_name: text.optional() }).optional(),
});
export const backup = object({
  algorithm: text,
  // As the client stored it.
  auth_data: z.unknown(),
  count,
  etag: text,
  version: text,
});
export const backupChange = object({ etag: text, count });
export const session = object({
  first_message_index: count,
  forwarded_count: count,
  is_verified: flag,
  session_data: z.unknown(),
});
export const sessions = object({ sessions: map(session) });

// Accounts, devices, push.
export const unbound = object({ id_server_unbind_result: z.enum(['success', 'no-support']) });
export const requestToken = object({ sid: text, submit_url: text.optional() });
export const wellKnown = object({ 'm.homeserver': object({ base_url: text }) });
export const tokens = { refresh_token: text.optional(), expires_in_ms: count.optional() };
export const device = object({
  device_id: text,
  display_name: text.optional(),
  last_seen_ip: text.optional(),
  last_seen_ts: int.optional(),
});
export const actions = list(z.union([text, anyObject]));
export const rule = object({
  rule_id: text,
  actions,
  default: flag,
  enabled: flag,
  conditions: list(object({ kind: text })).optional(),
  pattern: text.optional(),
});
export const rules = object({
  content: list(rule).optional(),
  override: list(rule).optional(),
  room: list(rule).optional(),
  sender: list(rule).optional(),
  underride: list(rule).optional(),
});
export const pusher = object({
  app_display_name: text,
  app_id: text,
  data: anyObject,
  device_display_name: text,
  kind: text,
  lang: text,
  profile_tag: text.optional(),
  pushkey: text,
});
export const config = object({ 'm.upload.size': count.optional() });
export const preview = object({ 'matrix:image:size': count.optional(), 'og:image': mxc.optional() });
export const tag = object({ order: z.number().optional() });
export const searchEvents = object({
  count: count.optional(),
  highlights: list(text).optional(),
  results: list(object({ rank: z.number().optional(), result: event.optional() })).optional(),
  state: z.record(roomId, list(stateEvent)).optional(),
  groups: map(map(object({ results: list(text).optional(), order: int.optional() }))).optional(),
  next_batch: text.optional(),
});
