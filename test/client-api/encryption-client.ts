/** What the tests of encryption ask of the client API. */
import { request, type TestApplication, TestClient } from '#test/support/application.ts';
import type { SyncAnswer } from './sync-client.ts';

/** The members of a sync's answer that encryption adds. */
export interface EncryptionSync extends SyncAnswer {
  readonly to_device?: { readonly events: readonly ToDeviceEvent[] };
  readonly device_lists?: { readonly changed?: readonly string[]; readonly left?: readonly string[] };
  readonly device_one_time_keys_count?: Readonly<Record<string, number>>;
  readonly device_unused_fallback_key_types?: readonly string[];
}

export interface ToDeviceEvent {
  readonly type: string;
  readonly sender: string;
  readonly content: Readonly<Record<string, unknown>>;
}

/** Keys of a client's device, with signatures that only look like some. */
export function deviceKeysOf(client: TestClient, identity = 'identity', more: object = {}): object {
  const { userId, deviceId } = client;
  return {
    user_id: userId,
    device_id: deviceId,
    algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
    keys: { [`curve25519:${deviceId}`]: 'curve', [`ed25519:${deviceId}`]: identity },
    signatures: { [userId]: { [`ed25519:${deviceId}`]: 'signature' } },
    ...more,
  };
}

/** A signed one-time key whose material is `key`. */
export function signedKey(client: TestClient, key: string, more: object = {}): object {
  return { key, signatures: { [client.userId]: { [`ed25519:${client.deviceId}`]: 'signature' } }, ...more };
}

/** Logs another device of a user in. */
export async function anotherDevice(app: TestApplication, client: TestClient, deviceId?: string): Promise<TestClient> {
  const { body } = await request(app.http, 'POST', '/login', {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: client.userId },
    password: 'correct horse battery staple',
    ...(deviceId !== undefined && { device_id: deviceId }),
  });
  return new TestClient(app.http, client.userId, String(body.device_id), String(body.access_token));
}

/** Claims one key of a device; undefined if there is none. */
export async function claimOne(
  claimer: TestClient,
  { userId, deviceId }: TestClient,
  algorithm = 'signed_curve25519',
): Promise<{ readonly name: string; readonly key: unknown } | undefined> {
  const body = await claimer.ok('POST', '/keys/claim', { one_time_keys: { [userId]: { [deviceId]: algorithm } } });
  const ofUsers = body.one_time_keys as unknown as Record<string, Record<string, Record<string, unknown>>>;
  const [entry] = Object.entries(ofUsers[userId]?.[deviceId] ?? {});
  return entry && { name: entry[0], key: entry[1] };
}

/** The answer to a query for all devices of these users. */
export async function query(client: TestClient, ...userIds: string[]): Promise<QueryAnswer> {
  const wanted = Object.fromEntries(userIds.map((userId) => [userId, []]));
  return (await client.ok('POST', '/keys/query', { device_keys: wanted })) as unknown as QueryAnswer;
}

type ByUser = Readonly<Record<string, KeyAnswer | undefined>>;

export interface KeyAnswer {
  readonly keys: Readonly<Record<string, string>>;
  readonly signatures?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface QueryAnswer {
  readonly device_keys: Readonly<Record<string, Readonly<Record<string, KeyAnswer>>>>;
  readonly failures: object;
  readonly master_keys: ByUser;
  readonly self_signing_keys: ByUser;
  readonly user_signing_keys: ByUser;
}
