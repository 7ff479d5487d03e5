/**
 * What an answer of each operation of the client-server API (v1.19) has to have: its members, and of what type they are. No
 * package carries the specification's schemas, so this is a table of our own. {@link wrongIn} says what is wrong with an answer.
 */
import { z } from 'zod';
import {
  actions,
  anyObject,
  backup,
  backupChange,
  bareEvent,
  config,
  count,
  crossSigningKey,
  device,
  deviceKeys,
  deviceLists,
  enabled,
  event,
  eventList,
  eventSent,
  eventWithoutRoom,
  flag,
  int,
  list,
  map,
  membership,
  mxc,
  nothing,
  object,
  oldEvents,
  preview,
  publicRooms,
  pusher,
  relations,
  requestToken,
  room,
  roomId,
  roomInfo,
  rule,
  rules,
  searchEvents,
  session,
  sessions,
  signatures,
  stateEvent,
  strippedEvent,
  summary,
  sync,
  tag,
  text,
  tokens,
  unbound,
  userId,
  wellKnown,
} from './answer-shapes.ts';

/** Below `/_matrix/client/v3`, unless the path begins with `/_` or `/.`. */
const ANSWERS: Readonly<Record<string, z.ZodType>> = {
  'GET /.well-known/matrix/client': wellKnown,
  'GET /.well-known/matrix/policy_server': object({ public_keys: object({ ed25519: text }) }),
  'GET /.well-known/matrix/support': object({
    contacts: list(object({ role: text })).optional(),
    support_page: text.optional(),
  }),
  'GET /_matrix/client/versions': object({ versions: list(text), unstable_features: map(flag).optional() }),
  'GET /_matrix/client/v1/admin/lock/{userId}': object({ locked: flag }),
  'PUT /_matrix/client/v1/admin/lock/{userId}': object({ locked: flag }),
  'GET /_matrix/client/v1/admin/suspend/{userId}': object({ suspended: flag }),
  'PUT /_matrix/client/v1/admin/suspend/{userId}': object({ suspended: flag }),
  'GET /_matrix/client/v1/media/config': config,
  'GET /_matrix/client/v1/media/preview_url': preview,
  'GET /_matrix/client/v1/mutual_rooms': object({ joined: list(roomId), count, next_batch: text.optional() }),
  'GET /_matrix/client/v1/register/m.login.registration_token/validity': object({ valid: flag }),
  'GET /_matrix/client/v1/room_summary/{roomIdOrAlias}': summary.extend({ membership: membership.optional() }),
  'GET /_matrix/client/v1/rooms/{roomId}/hierarchy': object({
    rooms: list(summary.extend({ children_state: list(strippedEvent.extend({ origin_server_ts: int })) })),
    next_batch: text.optional(),
  }),
  'GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}': relations,
  'GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}': relations,
  'GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}': relations,
  'GET /_matrix/client/v1/rooms/{roomId}/threads': object({ chunk: eventList, next_batch: text.optional() }),
  'GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event': eventSent.extend({ origin_server_ts: int }),
  'GET /_matrix/media/v3/config': config,
  'GET /_matrix/media/v3/preview_url': preview,
  'POST /_matrix/media/v1/create': object({ content_uri: mxc, unused_expires_at: int.optional() }),
  'POST /_matrix/media/v3/upload': object({ content_uri: mxc }),
  'PUT /_matrix/media/v3/upload/{serverName}/{mediaId}': nothing,

  'GET /account/3pid': object({
    threepids: list(object({ medium: text, address: text, validated_at: int, added_at: int })).optional(),
  }),
  'POST /account/3pid': object({ submit_url: text.optional() }),
  'POST /account/3pid/add': nothing,
  'POST /account/3pid/bind': nothing,
  'POST /account/3pid/delete': unbound,
  'POST /account/3pid/unbind': unbound,
  'POST /account/3pid/email/requestToken': requestToken,
  'POST /account/3pid/msisdn/requestToken': requestToken,
  'POST /account/deactivate': unbound,
  'POST /account/password': nothing,
  'POST /account/password/email/requestToken': requestToken,
  'POST /account/password/msisdn/requestToken': requestToken,
  'GET /account/whoami': object({ user_id: userId, device_id: text.optional(), is_guest: flag.optional() }),
  'GET /admin/whois/{userId}': object({
    user_id: userId.optional(),
    devices: map(object({ sessions: list(object({ connections: list(anyObject).optional() })).optional() })).optional(),
  }),
  'GET /capabilities': object({
    capabilities: object({
      'm.change_password': enabled.optional(),
      'm.room_versions': object({ default: text, available: map(z.enum(['stable', 'unstable'])) }).optional(),
      'm.set_displayname': enabled.optional(),
      'm.set_avatar_url': enabled.optional(),
      'm.3pid_changes': enabled.optional(),
      'm.get_login_token': enabled.optional(),
      'm.profile_fields': enabled.optional(),
      'm.forget_forced_upon_leave': enabled.optional(),
      'm.account_moderation': object({ lock: flag.optional(), suspend: flag.optional() }).optional(),
    }),
  }),
  'POST /createRoom': room,
  'POST /delete_devices': nothing,
  'GET /devices': object({ devices: list(device).optional() }),
  'GET /devices/{deviceId}': device,
  'PUT /devices/{deviceId}': nothing,
  'DELETE /devices/{deviceId}': nothing,
  'GET /directory/list/room/{roomId}': object({ visibility: z.enum(['private', 'public']) }),
  'PUT /directory/list/room/{roomId}': nothing,
  'GET /directory/room/{roomAlias}': object({ room_id: roomId, servers: list(text) }),
  'PUT /directory/room/{roomAlias}': nothing,
  'DELETE /directory/room/{roomAlias}': nothing,
  'GET /events': oldEvents,
  'GET /events/{eventId}': event,
  'GET /initialSync': object({
    end: text,
    presence: list(bareEvent),
    rooms: list(roomInfo.extend({ invite: anyObject.optional() })),
    account_data: list(bareEvent).optional(),
  }),
  'POST /join/{roomIdOrAlias}': room,
  'GET /joined_rooms': object({ joined_rooms: list(roomId) }),
  'GET /keys/changes': deviceLists,
  'POST /keys/claim': object({
    failures: map(anyObject).optional(),
    one_time_keys: z.record(
      userId,
      map(map(z.union([text, object({ key: text, signatures, fallback: flag.optional() })]))),
    ),
  }),
  'POST /keys/device_signing/upload': nothing,
  'POST /keys/query': object({
    failures: map(anyObject).optional(),
    device_keys: z.record(userId, map(deviceKeys)).optional(),
    master_keys: z.record(userId, crossSigningKey).optional(),
    self_signing_keys: z.record(userId, crossSigningKey).optional(),
    user_signing_keys: z.record(userId, crossSigningKey).optional(),
  }),
  // What failed is named as the client named it, which need be no user id.
  'POST /keys/signatures/upload': object({ failures: map(map(anyObject)).optional() }),
  'POST /keys/upload': object({ one_time_key_counts: map(count) }),
  'POST /knock/{roomIdOrAlias}': room,
  'GET /login': object({ flows: list(object({ type: text })) }),
  'POST /login': object({
    user_id: userId,
    access_token: text,
    device_id: text,
    well_known: wellKnown.optional(),
    ...tokens,
  }),
  'POST /logout': nothing,
  'POST /logout/all': nothing,
  'GET /notifications': object({
    next_token: text.optional(),
    notifications: list(object({ actions, event: eventWithoutRoom, read: flag, room_id: roomId, ts: int })),
  }),
  'GET /presence/{userId}/status': object({
    presence: z.enum(['online', 'offline', 'unavailable']),
    currently_active: flag.optional(),
    last_active_ago: count.optional(),
    status_msg: text.nullish(),
  }),
  'PUT /presence/{userId}/status': nothing,
  'GET /profile/{userId}': object({ avatar_url: text.optional(), displayname: text.optional() }),
  'GET /profile/{userId}/{keyName}': anyObject,
  'PUT /profile/{userId}/{keyName}': nothing,
  'DELETE /profile/{userId}/{keyName}': nothing,
  'GET /publicRooms': publicRooms,
  'POST /publicRooms': publicRooms,
  'GET /pushers': object({ pushers: list(pusher) }),
  'POST /pushers/set': nothing,
  'GET /pushrules/': object({ global: rules }),
  'GET /pushrules/global/': rules,
  'GET /pushrules/global/{kind}/{ruleId}': rule,
  'PUT /pushrules/global/{kind}/{ruleId}': nothing,
  'DELETE /pushrules/global/{kind}/{ruleId}': nothing,
  'GET /pushrules/global/{kind}/{ruleId}/actions': object({ actions }),
  'PUT /pushrules/global/{kind}/{ruleId}/actions': nothing,
  'GET /pushrules/global/{kind}/{ruleId}/enabled': enabled,
  'PUT /pushrules/global/{kind}/{ruleId}/enabled': nothing,
  'POST /refresh': object({ access_token: text, ...tokens }),
  'POST /register': object({
    user_id: userId,
    access_token: text.optional(),
    device_id: text.optional(),
    ...tokens,
  }),
  'GET /register/available': object({ available: flag }),
  'POST /register/email/requestToken': requestToken,
  'POST /register/msisdn/requestToken': requestToken,
  'GET /room_keys/keys': object({ rooms: z.record(roomId, sessions) }),
  'PUT /room_keys/keys': backupChange,
  'DELETE /room_keys/keys': backupChange,
  'GET /room_keys/keys/{roomId}': sessions,
  'PUT /room_keys/keys/{roomId}': backupChange,
  'DELETE /room_keys/keys/{roomId}': backupChange,
  'GET /room_keys/keys/{roomId}/{sessionId}': session,
  'PUT /room_keys/keys/{roomId}/{sessionId}': backupChange,
  'DELETE /room_keys/keys/{roomId}/{sessionId}': backupChange,
  'GET /room_keys/version': backup,
  'POST /room_keys/version': object({ version: text }),
  'GET /room_keys/version/{version}': backup,
  'PUT /room_keys/version/{version}': nothing,
  'DELETE /room_keys/version/{version}': nothing,
  'GET /rooms/{roomId}/aliases': object({ aliases: list(z.string().startsWith('#')) }),
  'POST /rooms/{roomId}/ban': nothing,
  'GET /rooms/{roomId}/context/{eventId}': object({
    start: text.optional(),
    end: text.optional(),
    event: event.optional(),
    events_before: eventList.optional(),
    events_after: eventList.optional(),
    state: list(stateEvent).optional(),
  }),
  'GET /rooms/{roomId}/event/{eventId}': event,
  'POST /rooms/{roomId}/forget': nothing,
  'GET /rooms/{roomId}/initialSync': roomInfo,
  'POST /rooms/{roomId}/invite': nothing,
  'POST /rooms/{roomId}/join': room,
  'GET /rooms/{roomId}/joined_members': object({
    joined: z.record(userId, object({ avatar_url: text.nullish(), display_name: text.nullish() })),
  }),
  'POST /rooms/{roomId}/kick': nothing,
  'POST /rooms/{roomId}/leave': nothing,
  'GET /rooms/{roomId}/members': object({ chunk: list(stateEvent) }),
  'GET /rooms/{roomId}/messages': object({
    chunk: eventList,
    start: text,
    end: text.optional(),
    state: list(stateEvent).optional(),
  }),
  'POST /rooms/{roomId}/read_markers': nothing,
  'POST /rooms/{roomId}/receipt/{receiptType}/{eventId}': nothing,
  'PUT /rooms/{roomId}/redact/{eventId}/{txnId}': eventSent,
  'POST /rooms/{roomId}/report': nothing,
  'POST /rooms/{roomId}/report/{eventId}': nothing,
  'PUT /rooms/{roomId}/send/{eventType}/{txnId}': eventSent,
  'GET /rooms/{roomId}/state': list(stateEvent),
  'GET /rooms/{roomId}/state/{eventType}/{stateKey}': anyObject,
  'PUT /rooms/{roomId}/state/{eventType}/{stateKey}': eventSent,
  'PUT /rooms/{roomId}/typing/{userId}': nothing,
  'POST /rooms/{roomId}/unban': nothing,
  'POST /rooms/{roomId}/upgrade': object({ replacement_room: roomId }),
  'POST /search': object({ search_categories: object({ room_events: searchEvents.optional() }) }),
  'PUT /sendToDevice/{eventType}/{txnId}': nothing,
  'GET /sync': sync,
  'GET /thirdparty/location': list(object({ alias: text, protocol: text, fields: anyObject })),
  'GET /thirdparty/location/{protocol}': list(object({ alias: text, protocol: text, fields: anyObject })),
  'GET /thirdparty/protocol/{protocol}': object({ instances: list(anyObject) }),
  'GET /thirdparty/protocols': map(object({ instances: list(anyObject) })),
  'GET /thirdparty/user': list(object({ userid: userId, protocol: text, fields: anyObject })),
  'GET /thirdparty/user/{protocol}': list(object({ userid: userId, protocol: text, fields: anyObject })),
  'POST /user/{userId}/filter': object({ filter_id: z.string().regex(/^[^{]/) }),
  'GET /user/{userId}/filter/{filterId}': anyObject,
  'GET /user/{userId}/account_data/{type}': anyObject,
  'PUT /user/{userId}/account_data/{type}': nothing,
  'POST /user/{userId}/openid/request_token': object({
    access_token: text,
    expires_in: count,
    matrix_server_name: text,
    token_type: z.literal('Bearer'),
  }),
  'GET /user/{userId}/rooms/{roomId}/account_data/{type}': anyObject,
  'PUT /user/{userId}/rooms/{roomId}/account_data/{type}': nothing,
  'GET /user/{userId}/rooms/{roomId}/tags': object({ tags: map(tag) }),
  'PUT /user/{userId}/rooms/{roomId}/tags/{tag}': nothing,
  'DELETE /user/{userId}/rooms/{roomId}/tags/{tag}': nothing,
  'POST /user_directory/search': object({
    limited: flag,
    results: list(object({ user_id: userId, display_name: text.optional(), avatar_url: text.optional() })),
  }),
  'POST /users/{userId}/report': nothing,
  'GET /voip/turnServer': z.union([
    object({ username: text, password: text, ttl: count, uris: list(text) }),
    // Where the server has none to offer.
    z.strictObject({}),
  ]),
};

/** Any error; and what asks for another stage of interactive authentication, which is one only after a stage that failed. */
const matrixError = object({ errcode: z.string().regex(/^[A-Z][A-Z0-9_.]*$/), error: text });
const interactive = object({
  flows: list(object({ stages: list(text) })),
  params: anyObject.optional(),
  session: text.optional(),
  completed: list(text).optional(),
});
const ERRORS: Readonly<Record<number, z.ZodType>> = {
  401: z.union([matrixError, interactive]),
  429: matrixError.extend({ retry_after_ms: count.optional() }),
};

/** A route of the table: the parts of its path, undefined for a parameter. */
interface Route {
  readonly name: string;
  readonly parts: readonly (string | undefined)[];
  readonly schema: z.ZodType;
}

const routes = new Map<string, Route[]>();
for (const [name, schema] of Object.entries(ANSWERS)) {
  const [method = '', path = ''] = name.split(' ');
  const whole = /^\/[_.]/.test(path) ? path : `/_matrix/client/v3${path}`;
  const parts = whole.split('/').map((part) => (part.startsWith('{') ? undefined : part));
  const key = `${method} ${parts.length}`;
  routes.set(key, [...(routes.get(key) ?? []), { name, parts, schema }]);
}

/** The operations that are known here, as `METHOD path`. */
export const checkedOperations: readonly string[] = Object.keys(ANSWERS).map((name) => {
  const [method, path = ''] = name.split(' ');
  return `${method} ${/^\/[_.]/.test(path) ? path : `/_matrix/client/v3${path}`}`;
});

/** A client may ask for parts of events, for events as servers have them, or (MSC4140) for an event to be sent later. */
const OTHER_FORMS = /event_fields|event_format|org\.matrix\.msc4140\.delay/;

/** An answer to a request; `url` with its query. */
export interface CheckedAnswer {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  /** Parsed. */
  readonly body: unknown;
}

/** What is wrong with an answer, as a sentence; undefined if nothing is, or if it is of no operation that is known here. */
export function wrongIn({ method, url, status, body }: CheckedAnswer): string | undefined {
  const [path = '', query = ''] = url.split('?');
  const schema = status >= 400 ? (ERRORS[status] ?? matrixError) : status === 200 ? schemaOf(method, path) : undefined;
  if (schema === undefined || (status === 200 && OTHER_FORMS.test(decoded(query)))) return undefined;
  const result = schema.safeParse(body);
  if (result.success) return undefined;
  return `${method} ${path} was answered with ${status}, and in it: ${z.prettifyError(result.error)}`;
}

/** A query as text; what is no percent-encoding stays as it is, since tests send that too. */
function decoded(query: string): string {
  return [...new URLSearchParams(query)].flat().join(' ');
}

function schemaOf(method: string, path: string): z.ZodType | undefined {
  const parts = path
    .replace(/^\/_matrix\/(client|media)\/(r0|v1(?=\/(config|upload|preview_url)))\//, '/_matrix/$1/v3/')
    .split('/');
  const candidates = routes.get(`${method} ${parts.length}`) ?? [];
  const fits = candidates.filter((route) =>
    route.parts.every((part, index) => (part === undefined ? parts[index] !== '' : part === parts[index])),
  );
  // The one with the fewest parameters is meant.
  const parameters = (route: Route): number => route.parts.filter((part) => part === undefined).length;
  return fits.sort((a, b) => parameters(a) - parameters(b))[0]?.schema;
}
