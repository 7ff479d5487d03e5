/** Stele and Synapse in the same rooms: what one does, the other sees. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Gate } from '#test/support/gate.ts';
import { freePort, SteleProcess, type TestUser } from '#test/support/stele-process.ts';
import { TLS_PATHS } from '#test/support/tls-peer.ts';
import {
  bodies,
  create,
  eventually,
  history,
  joinBy,
  joinedRooms,
  membershipOf,
  path,
  type RoomEvent,
  SLOW_MS,
  say,
  stateIds,
  stateOf,
  syncOf,
} from './conversation.ts';
import { findSynapse, SynapseProcess, watchOver } from './synapse-process.ts';

const found = findSynapse();
const isHere = 'version' in found;
if (!isHere) console.warn(`SKIPPED: the conversation with Synapse needs Python with matrix-synapse: ${found.missing}`);

/** Events of a history that takes several requests to fetch. */
const HISTORY = 130;

let serial = 0;

describe.skipIf(!isHere)(`Synapse ${'version' in found ? found.version : ''}`, { timeout: SLOW_MS }, () => {
  let steleGate: Gate;
  let synapseGate: Gate;
  let stele: SteleProcess;
  let synapse: SynapseProcess;
  /** Users of Stele, by `s`, and of Synapse, by `y`. */
  let sam: TestUser;
  let sue: TestUser;
  let yan: TestUser;
  let steleName: string;
  let synapseName: string;

  beforeAll(async () => {
    [steleGate, synapseGate] = [await Gate.make(), await Gate.make()];
    steleName = `localhost:${steleGate.port}`;
    synapseName = `localhost:${synapseGate.port}`;
    const federationPort = await freePort();
    stele = await SteleProcess.make((port) => ({
      server_name: steleName,
      listeners: [
        { bind: '127.0.0.1', port, serves: ['client', 'ops'] },
        {
          bind: '127.0.0.1',
          port: federationPort,
          serves: ['federation'],
          tls: { cert: TLS_PATHS.cert, key: TLS_PATHS.key },
        },
      ],
      federation: { allow_private_addresses: true, ca_file: TLS_PATHS.ca, trusted_key_servers: [] },
    }));
    steleGate.leadTo(federationPort);
    synapse = await SynapseProcess.make(synapseName);
    synapseGate.leadTo(synapse.federationPort);
    await Promise.all([stele.start(), synapse.start()]);
    [sam, sue, yan] = [await stele.register('sam'), await stele.register('sue'), await synapse.register('yan')];
  }, SLOW_MS);
  afterAll(async () => {
    await stele?.remove();
    await synapse?.remove();
    await steleGate?.close();
    await synapseGate?.close();
  });

  watchOver(() => synapse);

  describe.each(['10', '11', '12'])('in rooms of version %s', (version) => {
    const sides = (): [string, TestUser, TestUser, string][] => [
      ['Stele', sam, yan, steleName],
      ['Synapse', yan, sam, synapseName],
    ];

    it.each([0, 1])(
      'is joined, talked in, and agreed about (%i: 0 for rooms of Stele, 1 for rooms of Synapse)',
      async (side) => {
        const [, host, guest, via] = sides()[side] ?? expect.fail();
        const roomId = await create(host, { preset: 'public_chat', room_version: version, name: 'Tea' });
        await say(host, roomId, 'before');
        await joinBy(guest, roomId, via);
        expect(await stateOf(guest, roomId, 'm.room.name')).toEqual({ name: 'Tea' });
        await eventually(() => membershipOf(host, roomId, guest.userId)).toBe('join');
        const fromHost = await say(host, roomId, 'from the host');
        await eventually(() => bodies(guest, roomId)).toContain('from the host');
        const fromGuest = await say(guest, roomId, 'from the guest');
        await eventually(() => bodies(host, roomId)).toContain('from the guest');
        await eventually(() => bodies(guest, roomId)).toContain('before');
        for (const who of [host, guest]) {
          const ids = (await history(who, roomId)).map(({ event_id: id }) => id);
          expect(ids).toEqual(expect.arrayContaining([fromHost, fromGuest]));
        }
        await eventually(async () => (await stateIds(guest, roomId)).join()).toBe(
          (await stateIds(host, roomId)).join(),
        );
      },
    );

    it.each([0, 1])('is entered by an invite, and left (%i)', async (side) => {
      const [, host, guest] = sides()[side] ?? expect.fail();
      const roomId = await create(host, { preset: 'private_chat', room_version: version, name: 'Secret' });
      await host.call('POST', path(roomId, '/invite'), { user_id: guest.userId });
      const invites = async () =>
        Object.keys(((await guest.call('GET', '/sync')) as { rooms?: { invite?: object } }).rooms?.invite ?? {});
      await eventually(invites).toContain(roomId);
      await guest.call('POST', `/join/${encodeURIComponent(roomId)}`, {});
      await eventually(() => membershipOf(host, roomId, guest.userId)).toBe('join');
      await guest.call('POST', path(roomId, '/leave'), {});
      await eventually(() => membershipOf(host, roomId, guest.userId)).toBe('leave');
    });

    it.each([0, 1])('is not entered by an invite that is turned down (%i)', async (side) => {
      const [, host, guest] = sides()[side] ?? expect.fail();
      const roomId = await create(host, { preset: 'private_chat', room_version: version, invite: [guest.userId] });
      await guest.call('POST', path(roomId, '/leave'), {});
      await eventually(() => membershipOf(host, roomId, guest.userId)).toBe('leave');
    });

    it.each([0, 1])('lets in who is in another room (%i)', async (side) => {
      const [, host, guest, via] = sides()[side] ?? expect.fail();
      const space = await create(host, { preset: 'public_chat', room_version: version });
      const rule = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] };
      const roomId = await create(host, {
        room_version: version,
        initial_state: [{ type: 'm.room.join_rules', state_key: '', content: rule }],
      });
      await expect(joinBy(guest, roomId, via)).rejects.toThrow(/403/);
      await joinBy(guest, space, via);
      await eventually(() => membershipOf(host, space, guest.userId)).toBe('join');
      await joinBy(guest, roomId, via);
      await eventually(() => membershipOf(host, roomId, guest.userId)).toBe('join');
      await say(guest, roomId, 'let in');
      await eventually(() => bodies(host, roomId)).toContain('let in');
    });

    it.each([0, 1])('gives its older history (%i)', async (side) => {
      const [, host, guest, via] = sides()[side] ?? expect.fail();
      const roomId = await create(host, { preset: 'public_chat', room_version: version });
      const said: string[] = [];
      for (let index = 0; index < HISTORY; index += 1) {
        await say(host, roomId, `line ${index}`);
        said.unshift(`line ${index}`);
      }
      await joinBy(guest, roomId, via);
      await eventually(() => bodies(guest, roomId)).toEqual(said);
    });

    it.each([0, 1])('forgets what is redacted, kicks and bans (%i)', async (side) => {
      const [, host, guest, via] = sides()[side] ?? expect.fail();
      const roomId = await create(host, { preset: 'public_chat', room_version: version });
      await joinBy(guest, roomId, via);
      const eventId = await say(guest, roomId, 'a slip of the tongue');
      await eventually(() => bodies(host, roomId)).toContain('a slip of the tongue');
      await host.call('PUT', path(roomId, `/redact/${encodeURIComponent(eventId)}/r${++serial}`), { reason: 'asked' });
      for (const who of [host, guest])
        await eventually(() => bodies(who, roomId)).not.toContain('a slip of the tongue');
      await host.call('POST', path(roomId, '/kick'), { user_id: guest.userId, reason: 'out' });
      await eventually(() => joinedRooms(guest)).not.toContain(roomId);
      await joinBy(guest, roomId, via);
      await eventually(() => membershipOf(host, roomId, guest.userId)).toBe('join');
      await host.call('POST', path(roomId, '/ban'), { user_id: guest.userId });
      await eventually(() => joinedRooms(guest)).not.toContain(roomId);
      await expect(joinBy(guest, roomId, via)).rejects.toThrow(/403/);
    });

    it.each([0, 1])('is one room again after a partition in which both wrote (%i)', async (side) => {
      const [, host, guest, via] = sides()[side] ?? expect.fail();
      const roomId = await create(host, { preset: 'public_chat', room_version: version, name: 'Whole' });
      await joinBy(guest, roomId, via);
      await eventually(() => membershipOf(host, roomId, guest.userId)).toBe('join');
      const levels = (await stateOf(host, roomId, 'm.room.power_levels')) as { users?: object };
      await host.call('PUT', path(roomId, '/state/m.room.power_levels'), {
        ...levels,
        users: { ...levels.users, [guest.userId]: 50 },
      });
      await eventually(async () => (await stateIds(guest, roomId)).join()).toBe((await stateIds(host, roomId)).join());
      steleGate.shut();
      synapseGate.shut();
      for (const who of [host, guest]) {
        await who.call('PUT', path(roomId, '/state/m.room.name'), { name: `as ${who.userId} has it` });
        await who.call('PUT', path(roomId, `/state/m.room.topic`), { topic: `by ${who.userId}` });
        for (let index = 0; index < 5; index += 1) await say(who, roomId, `${index} of ${who.userId}`);
      }
      await host.call('PUT', path(roomId, '/state/m.room.join_rules'), { join_rule: 'invite' });
      steleGate.open();
      synapseGate.open();
      const expected = [host, guest].flatMap((who) => [0, 1, 2, 3, 4].map((index) => `${index} of ${who.userId}`));
      // What is said next wakes whoever waits for the other to come back.
      await say(host, roomId, 'hello?');
      await say(guest, roomId, 'hello!');
      for (const who of [host, guest]) {
        await eventually(() => bodies(who, roomId)).toEqual(expect.arrayContaining([...expected, 'hello?', 'hello!']));
      }
      await eventually(
        async () => (await stateIds(guest, roomId)).join() === (await stateIds(host, roomId)).join(),
      ).toBe(true);
    });
  });

  it('passes on receipts, typing and presence both ways', async () => {
    const roomId = await create(sam, { preset: 'public_chat' });
    await joinBy(yan, roomId, steleName);
    for (const [from, to] of [
      [sam, yan],
      [yan, sam],
    ] as const) {
      const eventId = await say(to, roomId, 'read this');
      await eventually(() => bodies(from, roomId)).toContain('read this');
      await from.call('PUT', path(roomId, `/typing/${encodeURIComponent(from.userId)}`), {
        typing: true,
        timeout: 30_000,
      });
      await from.call('POST', path(roomId, `/receipt/m.read/${encodeURIComponent(eventId)}`), {});
      await from.call('PUT', `/presence/${encodeURIComponent(from.userId)}/status`, {
        presence: 'online',
        status_msg: 'tea',
      });
      const ephemeral = async (type: string) =>
        JSON.stringify(
          ((await syncOf(to, roomId)) as { ephemeral?: { events: RoomEvent[] } } | undefined)?.ephemeral?.events.filter(
            (event) => event.type === type,
          ) ?? [],
        );
      await eventually(() => ephemeral('m.typing')).toContain(from.userId);
      await eventually(() => ephemeral('m.receipt')).toContain(from.userId);
      await eventually(async () =>
        to.call('GET', `/presence/${encodeURIComponent(from.userId)}/status`).catch(() => ({})),
      ).toMatchObject({ status_msg: 'tea' });
    }
  });

  it('passes on device lists, keys and messages to devices both ways', async () => {
    const roomId = await create(yan, { preset: 'public_chat' });
    await joinBy(sam, roomId, synapseName);
    for (const [from, to] of [
      [sam, yan],
      [yan, sam],
    ] as const) {
      const since = String((await to.call('GET', '/sync'))['next_batch']);
      const deviceKeys = {
        user_id: from.userId,
        device_id: from.deviceId,
        algorithms: ['m.olm.v1.curve25519-aes-sha2'],
        keys: { [`curve25519:${from.deviceId}`]: 'c29tZSBrZXk', [`ed25519:${from.deviceId}`]: 'c29tZSBrZXk' },
        signatures: { [from.userId]: { [`ed25519:${from.deviceId}`]: 'c29tZXRoaW5n' } },
      };
      await from.call('POST', '/keys/upload', {
        device_keys: deviceKeys,
        one_time_keys: { 'signed_curve25519:AAAA': { key: 'c29tZSBrZXk', signatures: deviceKeys.signatures } },
      });
      await eventually(async () =>
        JSON.stringify((await to.call('GET', `/sync?since=${since}`))['device_lists'] ?? {}),
      ).toContain(from.userId);
      const queried = await to.call('POST', '/keys/query', { device_keys: { [from.userId]: [] } });
      expect(queried).toMatchObject({ device_keys: { [from.userId]: { [from.deviceId]: { keys: deviceKeys.keys } } } });
      const claimed = await to.call('POST', '/keys/claim', {
        one_time_keys: { [from.userId]: { [from.deviceId]: 'signed_curve25519' } },
      });
      expect(claimed).toMatchObject({
        one_time_keys: { [from.userId]: { [from.deviceId]: { 'signed_curve25519:AAAA': { key: 'c29tZSBrZXk' } } } },
      });
      await to.call('PUT', `/sendToDevice/org.example.ping/t${++serial}`, {
        messages: { [from.userId]: { [from.deviceId]: { ping: serial } } },
      });
      await eventually(async () => JSON.stringify((await from.call('GET', '/sync'))['to_device'] ?? {})).toContain(
        'org.example.ping',
      );
    }
  });

  it('asks for profiles, aliases and public rooms both ways', async () => {
    for (const [from, to, via] of [
      [sam, yan, steleName],
      [yan, sam, synapseName],
    ] as const) {
      await from.call('PUT', `/profile/${encodeURIComponent(from.userId)}/displayname`, { displayname: 'Somebody' });
      expect(await to.call('GET', `/profile/${encodeURIComponent(from.userId)}`)).toMatchObject({
        displayname: 'Somebody',
      });
      const alias = `tea${++serial}`;
      const roomId = await create(from, { preset: 'public_chat', visibility: 'public', room_alias_name: alias });
      const asked = await to.call('GET', `/directory/room/${encodeURIComponent(`#${alias}:${via}`)}`);
      expect(asked['room_id']).toBe(roomId);
    }
  });

  it('goes on where it was after Stele was killed in the middle of a conversation', async () => {
    const roomId = await create(yan, { preset: 'public_chat' });
    await joinBy(sue, roomId, synapseName);
    await say(sue, roomId, 'before');
    await eventually(() => bodies(yan, roomId)).toContain('before');
    const saying = Array.from({ length: 20 }, (_, index) => say(yan, roomId, `meanwhile ${index}`));
    await stele.stop('SIGKILL');
    await Promise.all(saying);
    await stele.start();
    await say(sue, roomId, 'after');
    await say(yan, roomId, 'welcome back');
    await eventually(() => bodies(sue, roomId)).toEqual(
      expect.arrayContaining([...Array.from({ length: 20 }, (_, index) => `meanwhile ${index}`), 'welcome back']),
    );
    await eventually(() => bodies(yan, roomId)).toContain('after');
    await eventually(async () => (await stateIds(sue, roomId)).join() === (await stateIds(yan, roomId)).join()).toBe(
      true,
    );
  });
});
