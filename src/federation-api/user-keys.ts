/** The keys of users of this server, as other servers may see them. */
import type { Reader } from '#projections/engine/reader.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { objectText } from '#src/encryption/json-text.ts';
import { type DevicesWanted, queryKeys } from '#src/encryption/query-keys.ts';
import { sharedPacer } from '#src/sync/pacer.ts';

/** Stands for nobody: no user's signatures but those of the owners are shown. */
const NO_VIEWER = '';

/** User id → what there is of it. */
export interface UserKeys {
  readonly device_keys: JsonObject;
  readonly master_keys: JsonObject;
  readonly self_signing_keys: JsonObject;
}

/**
 * The devices and cross-signing keys of users. Users that are not of this server are left out, and so are the names of devices,
 * which people choose for themselves and not for everybody else's server.
 */
export async function keysForServers(reader: Reader, wanted: DevicesWanted): Promise<UserKeys> {
  const answer = parseJson(await queryKeys(reader, NO_VIEWER, wanted));
  const member = (name: string): JsonObject => objectIn(isJsonObject(answer) ? answer : {}, name);
  const devices = Object.entries(member('device_keys')).map(([userId, ofUser]) => {
    const named = Object.entries(isJsonObject(ofUser) ? ofUser : {});
    return [userId, Object.fromEntries(named.map(([id, keys]) => [id, withoutName(keys)]))] as const;
  });
  return {
    device_keys: Object.fromEntries(devices),
    master_keys: member('master_keys'),
    self_signing_keys: member('self_signing_keys'),
  };
}

/** Users whose keys are read and written together: what is in memory as objects, and takes one turn. */
const USERS_AT_ONCE = 50;

/** JSON text of {@link keysForServers}, for any number of users. */
export async function keysTextForServers(reader: Reader, wanted: DevicesWanted): Promise<string> {
  const texts: Record<keyof UserKeys, [string, string][]> = { device_keys: [], master_keys: [], self_signing_keys: [] };
  const users = Object.entries(wanted);
  for (let begin = 0; begin < users.length; begin += USERS_AT_ONCE) {
    const keys = await keysForServers(reader, Object.fromEntries(users.slice(begin, begin + USERS_AT_ONCE)));
    for (const [member, entries] of Object.entries(texts)) {
      for (const [userId, value] of Object.entries(keys[member as keyof UserKeys])) {
        entries.push([userId, JSON.stringify(value)]);
      }
    }
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  return objectText(Object.entries(texts).map(([member, entries]): [string, string] => [member, objectText(entries)]));
}

function withoutName(keys: JsonValue | undefined): JsonObject {
  const { unsigned: _unsigned, ...rest } = isJsonObject(keys) ? keys : {};
  return rest;
}

/** A member that is an object; empty if it is not there. */
export function objectIn(object: JsonObject, name: string): JsonObject {
  const value = ownValue(object, name);
  return isJsonObject(value) ? value : {};
}
