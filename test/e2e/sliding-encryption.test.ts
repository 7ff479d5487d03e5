/** The reference client says secrets when all it hears, keys and messages to devices included, comes by sliding sync. */
import type { MatrixClient } from 'matrix-js-sdk';
import { SlidingSync, SlidingSyncEvent, SlidingSyncState } from 'matrix-js-sdk/lib/sliding-sync.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  type Account,
  clientOf,
  cryptoOf,
  logIn,
  messageIn,
  muteConsole,
  onceAsync,
  onceTrue,
  registerAccount,
} from '#test/support/js-sdk.ts';
import { SteleProcess } from '#test/support/stele-process.ts';

const TIMEOUT_MS = 20_000;
const RULE = { required_state: [['*', '*']], timeline_limit: 20 };

describe('matrix-js-sdk with encryption over sliding sync', () => {
  let stele: SteleProcess;
  let alice: MatrixClient;
  let bob: MatrixClient;
  let roomId: string;
  const clients: { readonly client: MatrixClient; readonly sliding: SlidingSync }[] = [];

  beforeAll(async () => {
    muteConsole();
    stele = await SteleProcess.make();
    await stele.start();
    alice = await started(await registerAccount(stele.url, 'alice'));
    bob = await started(await registerAccount(stele.url, 'bob'));
  });

  afterAll(async () => {
    for (const { client, sliding } of clients) {
      sliding.stop();
      client.stopClient();
    }
    await stele?.remove();
    vi.restoreAllMocks();
  });

  it('two users read each other in an encrypted room', async () => {
    const encryption = { algorithm: 'm.megolm.v1.aes-sha2' };
    const created = await alice.createRoom({
      invite: ['@bob:localhost'],
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: encryption }],
    });
    roomId = created.room_id;
    await onceTrue(bob, () => bob.getRoom(roomId)?.getMyMembership() === 'invite');
    await bob.joinRoom(roomId);
    for (const client of [alice, bob]) {
      await onceTrue(client, () => client.getRoom(roomId)?.getMember('@bob:localhost')?.membership === 'join');
    }
    await alice.sendTextMessage(roomId, 'Good morning');
    expect((await messageIn(bob, roomId, 'Good morning')).isEncrypted()).toBe(true);
    await bob.sendTextMessage(roomId, 'How do you know?');
    await messageIn(alice, roomId, 'How do you know?');
  });

  it('a new device of one of them is heard of, and reads what is said from then on', async () => {
    const tablet = await started(await logIn(stele.url, 'bob'));
    await onceTrue(tablet, () => tablet.getRoom(roomId)?.getMyMembership() === 'join');
    for (const client of [alice, bob]) await onceAsync(client, () => knowsDevice(client, tablet));
    await alice.sendTextMessage(roomId, 'For both of your devices');
    await Promise.all([
      messageIn(bob, roomId, 'For both of your devices'),
      messageIn(tablet, roomId, 'For both of your devices'),
    ]);
    await tablet.sendTextMessage(roomId, 'From the tablet');
    await Promise.all([messageIn(alice, roomId, 'From the tablet'), messageIn(bob, roomId, 'From the tablet')]);
  });

  it('goes on after the server was killed', async () => {
    await stele.stop('SIGKILL');
    await stele.start();
    await alice.sendTextMessage(roomId, 'After the crash');
    await messageIn(bob, roomId, 'After the crash');
    await bob.sendTextMessage(roomId, 'Still here');
    await messageIn(alice, roomId, 'Still here');
  });

  it('left no error in the log of the server', () => {
    expect(stele.logged('error')).toEqual([]);
  });

  async function knowsDevice(client: MatrixClient, device: MatrixClient): Promise<boolean> {
    const devices = (await cryptoOf(client).getUserDeviceInfo(['@bob:localhost'])).get('@bob:localhost');
    return devices?.has(device.getDeviceId() ?? '') === true;
  }

  async function started(account: Account): Promise<MatrixClient> {
    const client = clientOf(stele.url, account);
    await client.initRustCrypto({ useIndexedDB: false });
    const lists = new Map([['all', { ranges: [[0, 99]], filters: {}, ...RULE }]]);
    const sliding = new SlidingSync(stele.url, lists, RULE, client, TIMEOUT_MS);
    clients.push({ client, sliding });
    const complete = new Promise<void>((resolve) => {
      sliding.on(SlidingSyncEvent.Lifecycle, (state) => {
        if (state === SlidingSyncState.Complete) resolve();
      });
    });
    await client.startClient({ slidingSync: sliding });
    await complete;
    return client;
  }
});
