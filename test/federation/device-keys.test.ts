/** The keys of users of other servers: kept, kept up to date, let go of, claimed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { coreProjections } from '#projections/catalogue.ts';
import { deviceKeysOf as deviceKeysIn, remoteListOf } from '#projections/encryption/key-queries.ts';
import { keyTables } from '#projections/encryption/key-tables.ts';
import { outboxProjection } from '#projections/encryption/outbox-projection.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { AnyTable, Table } from '#projections/engine/table.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { type DeviceChange, RemoteDeviceLists } from '#src/encryption/remote-device-lists.ts';
import type { FederationClient } from '#src/federation/client.ts';
import { LastingEduLog } from '#src/federation/edus/lasting.ts';
import { silentLog } from '#src/log/logger.ts';
import {
  anotherDevice,
  claimOne,
  deviceKeysOf,
  type EncryptionSync,
  query,
  signedKey,
} from '#test/client-api/encryption-client.ts';
import { sync } from '#test/client-api/sync-client.ts';
import type { TestClient } from '#test/support/application.ts';
import type { TestNetwork, TestServer } from '#test/support/federation.ts';
import { sendEdusAs, TwoServers, until } from './two-in-a-room.ts';

let servers: TwoServers;
let network: TestNetwork;
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let roomId: string;

beforeAll(async () => {
  servers = await TwoServers.start();
  ({ network, one, two } = servers);
});
afterAll(() => servers.close());
beforeEach(async () => {
  ({ alice, bob, roomId } = await servers.meet());
});

const at = (rest: string): string => `/rooms/${encodeURIComponent(roomId)}${rest}`;
const uploadKeys = (who: TestClient, identity?: string) =>
  who.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(who, identity) });

const ofUser = ({ userId }: TestClient) =>
  expect.objectContaining({
    type: 'm.device_list_update',
    content: expect.objectContaining({ user_id: userId }),
  });
const deferred = () => Promise.withResolvers<JsonObject>();
const changeOf = (streamId: number, deviceId: string): DeviceChange => ({
  userId: bob.userId,
  streamId,
  previousIds: [],
  device: { deviceId, keysJson: '{}', displayName: null },
  isDeleted: false,
});
const listOf = (streamId: number, ...deviceIds: string[]): JsonObject => ({
  user_id: bob.userId,
  stream_id: streamId,
  devices: deviceIds.map((deviceId) => ({ device_id: deviceId, keys: { algorithms: [] } })),
});
/** Lists of the first server, told by a server that answers as a test wishes. */
function listsOf(request: () => Promise<JsonObject>): RemoteDeviceLists {
  const { reader, commands, newRecordId, serverName, clock, federation } = one.context;
  const client = { request } as unknown as FederationClient;
  const { destinations } = federation;
  return new RemoteDeviceLists({
    reader,
    commands,
    client,
    destinations,
    serverName,
    newRecordId,
    clock,
    logger: silentLog(),
  });
}

describe('the keys of devices', () => {
  it('are asked for once, kept, and kept up to date', async () => {
    await uploadKeys(bob, 'first');
    const first = await query(alice, bob.userId);
    expect(first.device_keys[bob.userId]?.[bob.deviceId]?.keys[`ed25519:${bob.deviceId}`]).toBe('first');
    const { next_batch: since } = await sync(alice);
    network.cutOff('two.test');
    expect((await query(alice, bob.userId)).device_keys[bob.userId]).toEqual(first.device_keys[bob.userId]);
    network.setReachable('two.test', true);
    const phone = await anotherDevice(two, bob);
    await uploadKeys(phone, 'phone');
    await until(alice, ({ device_lists: lists }) => lists?.changed?.includes(bob.userId) ?? false, since);
    network.cutOff('two.test');
    const second = await query(alice, bob.userId);
    network.setReachable('two.test', true);
    expect(Object.keys(second.device_keys[bob.userId] ?? {}).sort()).toEqual([bob.deviceId, phone.deviceId].sort());
    expect(second.failures).toEqual({});
    await phone.ok('POST', '/logout', {});
    await servers.eventually(
      async () => !(phone.deviceId in ((await query(alice, bob.userId)).device_keys[bob.userId] ?? {})),
    );
  });

  it('are asked for anew where a change is missing', async () => {
    await uploadKeys(bob, 'first');
    await query(alice, bob.userId);
    const update = (streamId: number, previous: number[], deviceId: string): [string, JsonObject] => [
      'm.device_list_update',
      {
        user_id: bob.userId,
        device_id: deviceId,
        stream_id: streamId,
        prev_id: previous,
        keys: { user_id: bob.userId, device_id: deviceId, algorithms: [], keys: {}, signatures: {} },
      },
    ];
    const known = remoteListOf(one.context.reader, bob.userId)?.streamIds.at(-1) ?? 0;
    await sendEdusAs(two, 'one.test', update(known + 1, [known], 'NEW'));
    expect(Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {}).sort()).toEqual(
      ['NEW', bob.deviceId].sort(),
    );
    // The device is not in the list that two.test gives when it is asked.
    await sendEdusAs(two, 'one.test', update(known + 3, [known + 2], 'NEWER'));
    await servers.eventually(() => remoteListOf(one.context.reader, bob.userId)?.isOutdated === false);
    expect(Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {})).toEqual([bob.deviceId]);
  });

  it('that go several at once are gone on the other server, without a question', async () => {
    const [second, third] = [await anotherDevice(two, bob), await anotherDevice(two, bob)];
    for (const device of [bob, second, third]) await uploadKeys(device);
    await servers.eventually(
      async () => Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {}).length === 3,
    );
    // Records in between leave numbers for the changes: without, the other server has to ask.
    for (const body of ['a', 'b', 'c'])
      await bob.ok('PUT', at(`/send/m.room.message/${body}`), { msgtype: 'm.text', body });
    network.cutOff('two.test');
    await bob.ok('POST', '/delete_devices', {
      devices: [second.deviceId, third.deviceId],
      auth: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: bob.userId },
        password: 'correct horse battery staple',
      },
    });
    await servers.eventually(
      async () => Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {}).length === 1,
    );
    network.setReachable('two.test', true);
    expect(remoteListOf(one.context.reader, bob.userId)?.isOutdated).toBe(false);
  });

  it('are asked for once by many, and again where one changed while they were on their way', async () => {
    const answers = [deferred(), deferred()];
    let asked = 0;
    const lists = listsOf(() => answers[asked++]?.promise ?? Promise.reject(new Error('asked too often')));
    const waiting = [lists.refresh(bob.userId), lists.refresh(bob.userId)];
    await lists.change(changeOf(7, 'NEW'));
    answers[0]?.resolve(listOf(6));
    await servers.eventually(() => asked === 2);
    answers[1]?.resolve(listOf(7, 'NEW'));
    expect(await Promise.all(waiting)).toEqual([true, true]);
    expect([...deviceKeysIn(one.context.reader, bob.userId)].map(({ deviceId }) => deviceId)).toEqual(['NEW']);
    expect(asked).toBe(2);
    await lists.close();
  });

  it('are not kept where the list makes no sense, and clients are told to ask', async () => {
    const { next_batch: since } = await sync(alice);
    for (const answer of [
      { ...listOf(1), user_id: alice.userId },
      { ...listOf(1), stream_id: 'one' },
      { ...listOf(1), devices: {} },
      listOf(1, ...Array.from({ length: 3000 }, (_, n) => `${'LONG'.repeat(40)}${n}`)),
    ]) {
      const lists = listsOf(() => Promise.resolve(answer));
      await lists.change(changeOf(1, 'NEW'));
      expect(await lists.refresh(bob.userId)).toBe(false);
      expect(lists.isCurrent(bob.userId)).toBe(false);
      await lists.close();
    }
    await until(alice, ({ device_lists: news }) => news?.changed?.includes(bob.userId) ?? false, since);
    // Asked directly, the user's server says what there is.
    await uploadKeys(bob);
    expect(Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {})).toEqual([bob.deviceId]);
  });

  it('of other servers’ users, or of strangers, are not taken', async () => {
    const content = (userId: string) => ({ user_id: userId, device_id: 'EVIL', stream_id: 1, keys: {} });
    const before = one.log.head();
    await sendEdusAs(
      two,
      'one.test',
      ['m.device_list_update', content(alice.userId)],
      ['m.device_list_update', content('@x:three.test')],
      ['m.device_list_update', content('@stranger:two.test')],
      ['m.signing_key_update', { user_id: alice.userId }],
    );
    expect(one.log.head()).toBe(before);
  });

  it('are told to a server when their user comes into its first room with it, and not again', async () => {
    const carol = await two.register('carol');
    await uploadKeys(carol, 'first');
    const lasting = new LastingEduLog(two.context.reader, 'two.test');
    const newsSince = async (position: number) => (await lasting.after('one.test', position, 100)).edus;
    const strangers = two.context.reader.frontier;
    expect(await newsSince(-1)).not.toContainEqual(ofUser(carol));
    await carol.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
    await servers.eventually(() => remoteListOf(one.context.reader, carol.userId)?.isOutdated === false);
    expect([...deviceKeysIn(one.context.reader, carol.userId)].map(({ deviceId }) => deviceId)).toEqual([
      carol.deviceId,
    ]);
    expect(await newsSince(strangers)).toEqual([ofUser(carol)]);

    const acquainted = two.context.reader.frontier;
    const other = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
    await carol.ok('POST', `/join/${encodeURIComponent(other)}?via=one.test`, {});
    await carol.ok('PUT', `/profile/${encodeURIComponent(carol.userId)}/displayname`, { displayname: 'Carol' });
    expect(await newsSince(acquainted)).toEqual([]);
    // The list is as new as its number says: what changes next is added to it, and it is not asked for again.
    await uploadKeys(await anotherDevice(two, carol), 'phone');
    await servers.eventually(() => remoteListOf(one.context.reader, carol.userId)?.streamIds.length === 2);
    expect([...deviceKeysIn(one.context.reader, carol.userId)]).toHaveLength(2);
  });

  it('are let go of when nobody shares a room any more', async () => {
    await uploadKeys(bob, 'first');
    await query(alice, bob.userId);
    expect(remoteListOf(one.context.reader, bob.userId)).toBeDefined();
    const { next_batch: since } = await sync(alice);
    await alice.ok('POST', at('/leave'), {});
    expect(remoteListOf(one.context.reader, bob.userId)).toBeUndefined();
    const { device_lists: lists } = (await sync(alice, { since })) as EncryptionSync;
    expect(lists?.left).toContain(bob.userId);
    // They can be asked for all the same.
    expect(Object.keys((await query(alice, bob.userId)).device_keys[bob.userId] ?? {})).toEqual([bob.deviceId]);
    expect(remoteListOf(one.context.reader, bob.userId)).toBeUndefined();
  });

  it('that sign others reach the other server', async () => {
    await query(alice, bob.userId);
    const { next_batch: since } = await sync(alice);
    const key = Buffer.alloc(32, bob.userId).toString('base64').replace(/=+$/, '');
    const master = { user_id: bob.userId, usage: ['master'], keys: { [`ed25519:${key}`]: key } };
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: bob.userId },
      password: 'correct horse battery staple',
    };
    await bob.ok('POST', '/keys/device_signing/upload', { master_key: master, auth });
    await until(alice, ({ device_lists: lists }) => lists?.changed?.includes(bob.userId) ?? false, since);
    expect((await query(alice, bob.userId)).master_keys[bob.userId]).toEqual(master);
  });

  it('are claimed from the other server, and one that is away is named', async () => {
    const keys = { 'signed_curve25519:a': signedKey(bob, 'once') };
    await bob.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(bob), one_time_keys: keys });
    expect(await claimOne(alice, bob)).toEqual({ name: 'signed_curve25519:a', key: signedKey(bob, 'once') });
    expect(await claimOne(alice, bob)).toBeUndefined();
    const wanted = { '@nobody:three.test': { DEVICE: 'signed_curve25519' } };
    const failures = (await alice.ok('POST', '/keys/claim', { one_time_keys: wanted }))[
      'failures'
    ] as unknown as object;
    expect(Object.keys(failures)).toEqual(['three.test']);
    expect((await query(alice, '@nobody:three.test')).failures).toHaveProperty(['three.test']);
  });
});

it('a replay of the log gives the same tables', async () => {
  await uploadKeys(bob);
  await query(alice, bob.userId);
  const dir = await mkdtemp(path.join(tmpdir(), 'stele-edus-'));
  const rebuilt = await ProjectionEngine.open({ dir, log: one.log, projections: coreProjections, safeCopies: false });
  const rowsOf = (reader: Reader, table: AnyTable) => [...reader.range(table as Table<readonly unknown[], unknown>)];
  try {
    await rebuilt.waitFor(one.context.reader.frontier);
    for (const table of [...keyTables, ...outboxProjection.tables]) {
      expect(rowsOf(rebuilt.reader, table), table.name).toEqual(rowsOf(one.context.reader, table));
    }
    expect(keyTables.some((table) => rowsOf(rebuilt.reader, table).length > 0)).toBe(true);
  } finally {
    await rebuilt.close();
    await rm(dir, { recursive: true, force: true });
  }
});
