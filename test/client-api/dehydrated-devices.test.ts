/** Devices that take in messages while their user is logged in nowhere. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

const PATH = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});
afterEach(() => app.close());

const device = (deviceId: string, user = alice.userId) => ({
  device_id: deviceId,
  device_data: { algorithm: 'org.matrix.msc3814.v2', device_pickle: 'encrypted', nonce: 'n' },
  initial_device_display_name: 'in the cupboard',
  device_keys: {
    user_id: user,
    device_id: deviceId,
    dehydrated: true,
    algorithms: ['m.olm.v1.curve25519-aes-sha2'],
    keys: { [`ed25519:${deviceId}`]: 'key' },
    signatures: { [user]: { [`ed25519:${deviceId}`]: 'signature' } },
  },
  one_time_keys: { 'signed_curve25519:A': { key: 'a', signatures: {} } },
  fallback_keys: { 'signed_curve25519:F': { key: 'f', fallback: true, signatures: {} } },
});
let transactions = 0;
const toDevice = (deviceId: string, body: string) => {
  transactions += 1;
  const messages = { [alice.userId]: { [deviceId]: { body } } };
  return bob.ok('PUT', `/sendToDevice/org.example.test/t${transactions}`, { messages });
};
const events = async (deviceId: string, from?: unknown) => {
  const body = await alice.ok('POST', `${PATH}/${deviceId}/events`, from === undefined ? {} : { next_batch: from });
  return {
    bodies: (body.events as unknown as { content: { body: string } }[]).map(({ content }) => content.body),
    next: body.next_batch,
  };
};

test('it is a device with keys, that others write to, and whose messages its owner reads', async () => {
  expect(errorOf(await alice.call('GET', PATH))).toBe('404 M_NOT_FOUND');
  expect(await alice.ok('PUT', PATH, device('CUPBOARD'))).toEqual({ device_id: 'CUPBOARD' });
  expect(await alice.ok('GET', PATH)).toEqual({ device_id: 'CUPBOARD', device_data: device('').device_data });
  expect(errorOf(await bob.call('GET', PATH))).toBe('404 M_NOT_FOUND');
  expect(await bob.ok('POST', '/keys/query', { device_keys: { [alice.userId]: [] } })).toMatchObject({
    device_keys: { [alice.userId]: { CUPBOARD: { dehydrated: true } } },
  });
  const claim = { one_time_keys: { [alice.userId]: { CUPBOARD: 'signed_curve25519' } } };
  expect(await bob.ok('POST', '/keys/claim', claim)).toMatchObject({
    one_time_keys: { [alice.userId]: { CUPBOARD: { 'signed_curve25519:A': { key: 'a' } } } },
  });

  await toDevice('CUPBOARD', 'one');
  await toDevice('CUPBOARD', 'two');
  const first = await events('CUPBOARD');
  expect(first.bodies).toEqual(['one', 'two']);
  await toDevice('CUPBOARD', 'three');
  const second = await events('CUPBOARD', first.next);
  expect(second.bodies).toEqual(['three']);
  expect((await events('CUPBOARD', second.next)).bodies).toEqual([]);
  expect((await events('CUPBOARD')).bodies).toEqual(['one', 'two', 'three']);
});

test('a new one takes the place of the one before, with all that was its', async () => {
  await alice.ok('PUT', PATH, device('FIRST'));
  await toDevice('FIRST', 'lost');
  await alice.ok('PUT', PATH, device('SECOND'));
  const { devices } = await alice.ok('GET', '/devices');
  const ids = (devices as unknown as { device_id: string }[]).map(({ device_id }) => device_id);
  expect(ids.sort()).toEqual([alice.deviceId, 'SECOND'].sort());
  expect(errorOf(await alice.call('POST', `${PATH}/FIRST/events`, {}))).toBe('403 M_FORBIDDEN');
  await alice.ok('PUT', PATH, device('SECOND'));
  expect((await events('SECOND')).bodies).toEqual([]);
});

test('it goes when it is asked to, and when its device is removed in any other way', async () => {
  await alice.ok('PUT', PATH, device('CUPBOARD'));
  expect(await alice.ok('DELETE', PATH)).toEqual({ device_id: 'CUPBOARD' });
  expect(errorOf(await alice.call('DELETE', PATH))).toBe('404 M_NOT_FOUND');
  await alice.ok('PUT', PATH, device('CUPBOARD'));
  await app.context.accounts.devices.remove(alice.userId, ['CUPBOARD']);
  expect(errorOf(await alice.call('GET', PATH))).toBe('404 M_NOT_FOUND');
});

test('what cannot be one is refused', async () => {
  const put = async (body: object) => errorOf(await alice.call('PUT', PATH, body));
  const { device_keys: _, ...withoutKeys } = device('A');
  expect(await put(withoutKeys)).toBe('400 M_MISSING_PARAM');
  expect(await put({ ...device('A'), device_data: {} })).toBe('400 M_MISSING_PARAM');
  expect(await put({ ...device('A'), device_id: 'B' })).toBe('400 M_INVALID_PARAM');
  expect(await put(device(alice.deviceId))).toBe('400 M_INVALID_PARAM');
  expect(await put(device('A', bob.userId))).toBe('400 M_INVALID_PARAM');
  await alice.ok('PUT', PATH, device('A'));
  expect(errorOf(await alice.call('POST', `${PATH}/A/events`, { next_batch: 'x' }))).toBe('400 M_INVALID_PARAM');
});
