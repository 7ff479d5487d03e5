/** The reference client says secrets through two servers: keys are found, claimed and shared between them. */
import type { MatrixClient, MatrixEvent } from 'matrix-js-sdk';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { makeFederatedProcess } from '#test/support/federated-process.ts';
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
  startSyncing,
  withPassword,
} from '#test/support/js-sdk.ts';
import type { SteleProcess } from '#test/support/stele-process.ts';

let one: SteleProcess;
let two: SteleProcess;
let alice: MatrixClient;
let bob: MatrixClient;
let roomId: string;
const clients: MatrixClient[] = [];

beforeAll(async () => {
  muteConsole();
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
  const phone = await started(two, await logIn(two.url, 'bob'));
  await onceTrue(phone, () => phone.getRoom(roomId)?.getJoinedMemberCount() === 2);
  await onceAsync(alice, async () => {
    const devices = await cryptoOf(alice).getUserDeviceInfo([bob.getSafeUserId()]);
    return devices?.get(bob.getSafeUserId())?.size === 2;
  });
  await alice.sendTextMessage(roomId, 'For both of your devices');
  await Promise.all([message(bob, 'For both of your devices'), message(phone, 'For both of your devices')]);
});

it('that a user has signed their devices is seen on the other server', async () => {
  await cryptoOf(alice).bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword('alice') });
  await onceAsync(bob, async () => {
    const [userId, deviceId] = [alice.getSafeUserId(), alice.getDeviceId() ?? ''];
    const status = await cryptoOf(bob).getDeviceVerificationStatus(userId, deviceId);
    return status?.signedByOwner === true;
  });
});

it('keys for what was said while a server was away come when it is back', async () => {
  await two.stop('SIGKILL');
  // A new session, whose key has to be shared with devices of a server that is not there.
  await cryptoOf(alice).forceDiscardSession(roomId);
  await alice.sendTextMessage(roomId, 'Are you there?');
  await two.start();
  for (const client of clients) client.retryImmediately();
  await bob.sendTextMessage(roomId, 'Here I am');
  await message(alice, 'Here I am');
  await message(bob, 'Are you there?');
});

async function registered(server: SteleProcess, username: string): Promise<MatrixClient> {
  return started(server, await registerAccount(server.url, username));
}

async function started(server: SteleProcess, account: Account): Promise<MatrixClient> {
  const client = clientOf(server.url, account);
  clients.push(client);
  await startSyncing(client, { withCrypto: true });
  return client;
}

function message(client: MatrixClient, body: string): Promise<MatrixEvent> {
  return messageIn(client, roomId, body);
}
