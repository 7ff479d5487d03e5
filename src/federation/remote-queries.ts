/** What users ask of other servers, with answers that are checked before they are believed. */
import { isRoomId, serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { isServerName } from '#protocol/server-name.ts';
import { type FederationClient, federationPath } from './client.ts';
import { FederationError } from './errors.ts';

/** Largest profile that is read: the specification's 64 KiB, and what goes around it. */
const MAX_PROFILE_ANSWER_BYTES = 80 * 1024;
const MAX_DIRECTORY_ANSWER_BYTES = 1024 * 1024;
/** A few hundred rooms with long topics. */
const MAX_ROOMS_ANSWER_BYTES = 4 * 1024 * 1024;
/** Most servers of an alias that are used. */
const MAX_ALIAS_SERVERS = 100;
/** Somebody looks at a spinning wheel. */
const DEADLINE_MS = 10_000;

/** What an alias of another server points to. */
export interface RemoteAlias {
  readonly roomId: string;
  /** Servers that are likely to be in the room. */
  readonly servers: readonly string[];
}

/**
 * The profile of a user of another server, or one field of it.
 * @throws {FederationError}
 */
export async function remoteProfile(client: FederationClient, userId: string, field?: string): Promise<JsonObject> {
  const path = federationPath`/_matrix/federation/v1/query/profile?user_id=${userId}`;
  return client.request({
    destination: serverNameOf(userId) ?? '',
    method: 'GET',
    path: field === undefined ? path : path + federationPath`&field=${field}`,
    deadlineMs: DEADLINE_MS,
    maxAnswerBytes: MAX_PROFILE_ANSWER_BYTES,
    isUrgent: true,
  });
}

/**
 * What the server of an alias says it points to.
 * @throws {FederationError}
 */
export async function remoteAlias(client: FederationClient, alias: string): Promise<RemoteAlias> {
  const destination = serverNameOf(alias) ?? '';
  const answer = await client.request({
    destination,
    method: 'GET',
    path: federationPath`/_matrix/federation/v1/query/directory?room_alias=${alias}`,
    deadlineMs: DEADLINE_MS,
    maxAnswerBytes: MAX_DIRECTORY_ANSWER_BYTES,
    isUrgent: true,
  });
  const { room_id: roomId, servers } = answer;
  if (typeof roomId !== 'string' || !isRoomId(roomId) || !Array.isArray(servers)) {
    throw new FederationError('bad_answer', destination, `its answer for ${alias} makes no sense`);
  }
  const named = (servers as unknown[]).filter((one) => typeof one === 'string').filter(isServerName);
  return { roomId, servers: named.slice(0, MAX_ALIAS_SERVERS) };
}

/** What of another server's public rooms is asked for: as the bodies of clients have it. */
export interface RemoteRoomsQuery {
  readonly limit?: number | null | undefined;
  readonly since?: string | null | undefined;
  readonly filter?: JsonObject | null | undefined;
  readonly include_all_networks?: boolean | null | undefined;
  readonly third_party_instance_id?: string | null | undefined;
}

/**
 * A page of the public rooms of another server. Of each room only what makes no sense is taken out.
 * @throws {FederationError}
 */
export async function remotePublicRooms(
  client: FederationClient,
  destination: string,
  { limit, since, filter, include_all_networks: everywhere, third_party_instance_id: instance }: RemoteRoomsQuery,
): Promise<JsonObject> {
  const content = {
    ...(limit != null && { limit }),
    ...(since != null && { since }),
    ...(everywhere != null && { include_all_networks: everywhere }),
    ...(instance != null && { third_party_instance_id: instance }),
  };
  const query = new URLSearchParams(
    Object.entries(content).map(([name, value]): [string, string] => [name, String(value)]),
  );
  const path = '/_matrix/federation/v1/publicRooms';
  const bounds = { deadlineMs: DEADLINE_MS, maxAnswerBytes: MAX_ROOMS_ANSWER_BYTES, isUrgent: true };
  // Every server knows the one without a filter.
  const answer = filter
    ? await client.request({ destination, method: 'POST', path, content: { ...content, filter }, ...bounds })
    : await client.request({
        destination,
        method: 'GET',
        path: query.size === 0 ? path : `${path}?${query}`,
        ...bounds,
      });
  const { chunk } = answer;
  if (!Array.isArray(chunk)) throw new FederationError('bad_answer', destination, 'its list of rooms is no list');
  return { ...answer, chunk: (chunk as JsonValue[]).filter(isRoomEntry) };
}

/** What clients rely on to be there. */
function isRoomEntry(entry: JsonValue): boolean {
  if (!isJsonObject(entry)) return false;
  const { room_id: roomId, num_joined_members: members, world_readable: readable, guest_can_join: guests } = entry;
  if (typeof roomId !== 'string' || !isRoomId(roomId) || typeof members !== 'number') return false;
  return typeof readable === 'boolean' && typeof guests === 'boolean';
}
