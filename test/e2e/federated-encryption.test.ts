/** The reference client says secrets through two servers: keys are found, claimed and shared between them. */
import {
  ClientEvent,
  createClient,
  type EmittedEvents,
  type MatrixClient,
  type MatrixEvent,
  MatrixEventEvent,
  RoomStateEvent,
} from 'matrix-js-sdk';
import { CryptoEvent } from 'matrix-js-sdk/lib/crypto-api/index.js';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { makeFederatedProcess } from '#test/support/federated-process.ts';
import { PASSWORD, quiet } from '#test/support/sdk.ts';
import type { SteleProcess } from '#test/support/stele-process.ts';

let one: SteleProcess;
let two: SteleProcess;
let alice: MatrixClient;
let bob: MatrixClient;
let roomId: string;
const clients: MatrixClient[] = [];

beforeAll(async () => {
  for (const method of ['debug', 'info', 'log', 'warn', 'error'] as const) {
    vi.spyOn(console, method).mockReturnValue(undefined);
  }
  one = (await makeFederatedProcess()).stele;
  two = (await makeFederatedProcess()).stele;
  await Promise.all([one.start(), two.start()]);
  alice = await registered(one, 'alice');
  bob = await registered(two, 'bob');
});
afterAll(async () => {
  for (const client of clients) client.stopClient();
  await one?.remove();
  await two?.remove();
  vi.restoreAllMocks();
});

it('two users of two servers read each other in an encrypted room', async () => {
  const bobId = bob.getSafeUserId();
  const created = await alice.createRoom({
    invite: [bobId],
    initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  });
  roomId = created.room_id;
  await onceTrue(bob, () => bob.getRoom(roomId)?.getMyMembership() === 'invite');
  await bob.joinRoom(roomId);
  for (const client of clients) await onceTrue(client, () => client.getRoom(roomId)?.getJoinedMemberCount() === 2);
  await alice.sendTextMessage(roomId, 'Good morning');
  expect((await message(bob, 'Good morning')).isEncrypted()).toBe(true);
  await bob.sendTextMessage(roomId, 'How do you know?');
  expect((await message(alice, 'How do you know?')).getSender()).toBe(bobId);
});

it('a new device of one of them reads what is said from then on', async () => {
  const login = await createClient({ baseUrl: two.url, logger: quiet }).loginRequest({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: 'bob' },
    password: PASSWORD,
  });
  const phone = await started(two, login);
  await onceTrue(phone, () => phone.getRoom(roomId)?.getJoinedMemberCount() === 2);
  const crypto = alice.getCrypto();
  await onceAsync(alice, async () => {
    const devices = await crypto?.getUserDeviceInfo([bob.getSafeUserId()]);
    return devices?.get(bob.getSafeUserId())?.size === 2;
  });
  await alice.sendTextMessage(roomId, 'For both of your devices');
  await Promise.all([message(bob, 'For both of your devices'), message(phone, 'For both of your devices')]);
});

it('that a user has signed their devices is seen on the other server', async () => {
  const crypto = alice.getCrypto();
  await crypto?.bootstrapCrossSigning({
    authUploadDeviceSigningKeys: async (makeRequest): Promise<void> => {
      const identifier = { type: 'm.id.user', user: 'alice' };
      await makeRequest({ type: 'm.login.password', identifier, password: PASSWORD });
    },
  });
  await onceAsync(bob, async () => {
    const [userId, deviceId] = [alice.getSafeUserId(), alice.getDeviceId() ?? ''];
    const status = await bob.getCrypto()?.getDeviceVerificationStatus(userId, deviceId);
    return status?.signedByOwner === true;
  });
});

it('keys for what was said while a server was away come when it is back', async () => {
  await two.stop('SIGKILL');
  // A new session, whose key has to be shared with devices of a server that is not there.
  await alice.getCrypto()?.forceDiscardSession(roomId);
  await alice.sendTextMessage(roomId, 'Are you there?');
  await two.start();
  for (const client of clients) client.retryImmediately();
  await bob.sendTextMessage(roomId, 'Here I am');
  await message(alice, 'Here I am');
  await message(bob, 'Are you there?');
});

async function registered(server: SteleProcess, username: string): Promise<MatrixClient> {
  const anonymous = createClient({ baseUrl: server.url, logger: quiet });
  const auth = { type: 'm.login.dummy' };
  return started(server, await anonymous.registerRequest({ username, password: PASSWORD, auth }));
}

interface Account {
  readonly user_id: string;
  readonly access_token?: string;
  readonly device_id?: string;
}

async function started(server: SteleProcess, account: Account): Promise<MatrixClient> {
  const { access_token: accessToken, user_id: userId, device_id: deviceId } = account;
  if (accessToken === undefined || deviceId === undefined) throw new Error('no device was logged in');
  const client = createClient({ baseUrl: server.url, logger: quiet, accessToken, userId, deviceId });
  clients.push(client);
  await client.initRustCrypto({ useIndexedDB: false });
  await client.startClient({ initialSyncLimit: 20 });
  await onceTrue(client, () => client.isInitialSyncComplete());
  return client;
}

/** A message that a client has decrypted. */
function message(client: MatrixClient, body: string): Promise<MatrixEvent> {
  const isIt = (event: MatrixEvent): boolean => {
    const content: { body?: unknown } = event.getContent();
    return content.body === body;
  };
  return onceThere(client, () => client.getRoom(roomId)?.getLiveTimeline().getEvents().find(isIt));
}

/** What a client says when it knows more than before. */
const NEWS: EmittedEvents[] = [
  ClientEvent.Sync,
  MatrixEventEvent.Decrypted,
  RoomStateEvent.Members,
  CryptoEvent.DevicesUpdated,
  CryptoEvent.UserTrustStatusChanged,
];

async function onceTrue(client: MatrixClient, isSo: () => boolean): Promise<void> {
  await onceThere(client, () => (isSo() ? true : undefined));
}

/** Resolves with what `look` finds, now or when the client has learned something. */
function onceThere<T>(client: MatrixClient, look: () => T | undefined): Promise<T> {
  return new Promise((resolve) => {
    const check = (): void => {
      const found = look();
      if (found === undefined) return;
      for (const news of NEWS) client.off(news, check);
      resolve(found);
    };
    for (const news of NEWS) client.on(news, check);
    check();
  });
}

/** The same for what has to be asked for: asks again whenever the client has learned something. */
async function onceAsync(client: MatrixClient, isSo: () => Promise<boolean>): Promise<void> {
  for (;;) {
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const news of NEWS) client.on(news, resolve);
    try {
      if (await isSo()) return;
      await promise;
    } finally {
      for (const news of NEWS) client.off(news, resolve);
    }
  }
}
