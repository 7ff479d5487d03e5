/** People compare emojis, with the cryptography of the reference client: what is known on one device comes to the other. */
import { type MatrixClient, MsgType } from 'matrix-js-sdk';
import {
  CryptoEvent,
  type ShowSasCallbacks,
  VerificationPhase,
  type VerificationRequest,
  VerificationRequestEvent,
  type Verifier,
  VerifierEvent,
} from 'matrix-js-sdk/lib/crypto-api/index.js';
import { RustBackupManager } from 'matrix-js-sdk/lib/rust-crypto/backup.js';
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
  startSyncing,
  withPassword,
} from '#test/support/js-sdk.ts';
import { SteleProcess } from '#test/support/stele-process.ts';

const SAS = 'm.sas.v1';

describe('verification with matrix-js-sdk', () => {
  let stele: SteleProcess;
  let alice: MatrixClient;
  let tablet: MatrixClient;
  let bob: MatrixClient;
  let roomId: string;
  let bobIsOffline = false;
  const clients: MatrixClient[] = [];

  beforeAll(async () => {
    muteConsole();
    Object.assign(RustBackupManager, { maxBackupLoopStartDelayMillis: 0 });
    stele = await SteleProcess.make();
    await stele.start();
    alice = await started(await registerAccount(stele.url, 'alice'));
    bob = await started(await registerAccount(stele.url, 'bob'), async (input, init) => {
      if (bobIsOffline) throw new TypeError('the network is away');
      return fetch(input, init);
    });
    for (const [client, name] of [
      [alice, 'alice'],
      [bob, 'bob'],
    ] as const) {
      await cryptoOf(client).bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(name) });
    }
    await cryptoOf(alice).resetKeyBackup();
    const created = await alice.createRoom({
      invite: ['@bob:localhost'],
      is_direct: true,
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    });
    roomId = created.room_id;
    await onceTrue(bob, () => bob.getRoom(roomId)?.getMyMembership() === 'invite');
    await bob.joinRoom(roomId);
    for (const client of [alice, bob]) {
      await onceTrue(client, () => client.getRoom(roomId)?.getJoinedMemberCount() === 2);
    }
  });

  afterAll(async () => {
    for (const client of clients) client.stopClient();
    await stele?.remove();
    vi.restoreAllMocks();
  });

  it('keys for what was said while a device had no network come when it has', async () => {
    await alice.sendTextMessage(roomId, 'Before');
    await messageIn(bob, roomId, 'Before');
    bobIsOffline = true;
    await cryptoOf(alice).forceDiscardSession(roomId);
    await alice.sendTextMessage(roomId, 'While you were away');
    bobIsOffline = false;
    bob.retryImmediately();
    expect((await messageIn(bob, roomId, 'While you were away')).isEncrypted()).toBe(true);
  });

  it('two devices of a user: the new one is signed by the other', async () => {
    await onceAsync(alice, async () => (await keysInBackup()) >= 2);
    tablet = await started(await logIn(stele.url, 'alice'));
    expect(await cryptoOf(tablet).userHasCrossSigningKeys('@alice:localhost', true)).toBe(true);
    expect(await isSignedByOwner(bob, tablet)).toBe(false);
    const asked = requestTo(alice);
    const request = await cryptoOf(tablet).requestOwnUserVerification();
    await compareEmojis(request, await asked);
    await onceAsync(bob, () => isSignedByOwner(bob, tablet));
    await onceAsync(tablet, () => isSignedByOwner(tablet, alice));
  });

  it('and is told the secrets: it reads by itself what was said before it was there', async () => {
    await onceAsync(tablet, async () => (await cryptoOf(tablet).getSessionBackupPrivateKey()) !== null);
    await onceAsync(tablet, () => cryptoOf(tablet).isCrossSigningReady());
    await messageIn(tablet, roomId, 'Before');
    await messageIn(tablet, roomId, 'While you were away');
  });

  it('two users, in a room: each sees the other as verified, on all devices', async () => {
    expect((await cryptoOf(alice).getUserVerificationStatus('@bob:localhost')).isVerified()).toBe(false);
    const asked = requestTo(bob);
    const request = await cryptoOf(alice).requestVerificationDM('@bob:localhost', roomId);
    await compareEmojis(request, await asked);
    for (const [client, userId] of [
      [alice, '@bob:localhost'],
      [tablet, '@bob:localhost'],
      [bob, '@alice:localhost'],
    ] as const) {
      await onceAsync(client, async () => (await cryptoOf(client).getUserVerificationStatus(userId)).isVerified());
    }
  });

  it('who starts over with new keys is seen to have changed', async () => {
    await cryptoOf(bob).bootstrapCrossSigning({
      setupNewCrossSigning: true,
      authUploadDeviceSigningKeys: withPassword('bob'),
    });
    for (const client of [alice, tablet]) {
      await onceAsync(client, async () => {
        const status = await cryptoOf(client).getUserVerificationStatus('@bob:localhost');
        return status.wasCrossSigningVerified() && !status.isCrossSigningVerified();
      });
    }
    await bob.sendMessage(roomId, { msgtype: MsgType.Text, body: 'It is still me' });
    await messageIn(alice, roomId, 'It is still me');
  });

  it('left no error in the log of the server', () => {
    expect(stele.logged('error')).toEqual([]);
  });

  async function started(account: Account, fetchFn?: typeof fetch): Promise<MatrixClient> {
    const client = clientOf(stele.url, account, {
      verificationMethods: [SAS],
      ...(fetchFn && { fetchFn }),
    });
    clients.push(client);
    await startSyncing(client, { withCrypto: true });
    return client;
  }

  /** As the server counts. */
  async function keysInBackup(): Promise<number> {
    const answer = await fetch(`${stele.url}/_matrix/client/v3/room_keys/version`, {
      headers: { authorization: `Bearer ${alice.getAccessToken()}` },
    });
    const { count } = (await answer.json()) as { count: number };
    return count;
  }
});

/** The next request to verify that a client is shown. */
function requestTo(client: MatrixClient): Promise<VerificationRequest> {
  return new Promise((resolve) => client.once(CryptoEvent.VerificationRequestReceived, resolve));
}

/** Both sides go through with it, and both say that what they are shown is the same: it has to be. */
async function compareEmojis(ours: VerificationRequest, theirs: VerificationRequest): Promise<void> {
  await theirs.accept();
  await oncePhase(ours, () => ours.phase === VerificationPhase.Ready);
  const verifier = await ours.startVerification(SAS);
  await oncePhase(theirs, () => theirs.verifier !== undefined);
  const other = theirs.verifier;
  if (other === undefined) throw new Error('the other side has not begun');
  const shown = Promise.all([sasOf(verifier), sasOf(other)]);
  const done = Promise.all([verifier.verify(), other.verify()]);
  // A failure before the emojis are shown must not leave us waiting for them.
  const [one, two] = await Promise.race([shown, done.then(() => Promise.reject(new Error('nothing was shown')))]);
  expect(one.sas.emoji).toHaveLength(7);
  expect(one.sas).toEqual(two.sas);
  await Promise.all([one.confirm(), two.confirm()]);
  await done;
}

function sasOf(verifier: Verifier): Promise<ShowSasCallbacks> {
  return new Promise((resolve) => verifier.once(VerifierEvent.ShowSas, resolve));
}

function oncePhase(request: VerificationRequest, isSo: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!isSo()) return;
      request.off(VerificationRequestEvent.Change, check);
      resolve();
    };
    request.on(VerificationRequestEvent.Change, check);
    check();
  });
}

/** Whether a client sees that another device is signed with the cross-signing keys of its user. */
async function isSignedByOwner(viewer: MatrixClient, of: MatrixClient): Promise<boolean> {
  const status = await cryptoOf(viewer).getDeviceVerificationStatus(of.getSafeUserId(), of.getDeviceId() ?? '');
  return status?.signedByOwner === true;
}
