/** What users ask of other servers, with answers that are checked before they are believed. */
import { isRoomId, serverNameOf } from '#protocol/identifiers.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { isServerName } from '#protocol/server-name.ts';
import { type FederationClient, federationPath } from './client.ts';
import { FederationError } from './errors.ts';

/** Largest profile that is read: the specification's 64 KiB, and what goes around it. */
const MAX_PROFILE_ANSWER_BYTES = 80 * 1024;
const MAX_DIRECTORY_ANSWER_BYTES = 1024 * 1024;
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
