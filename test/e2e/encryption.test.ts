/** The reference client with its own cryptography, which nobody here wrote, says secrets through the server. */
import type { MatrixClient, MatrixEvent } from 'matrix-js-sdk';
import { CryptoEvent } from 'matrix-js-sdk/lib/crypto-api/index.js';
import { RustBackupManager } from 'matrix-js-sdk/lib/rust-crypto/backup.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  type Account,
  bodyOf,
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

describe('matrix-js-sdk with encryption', () => {
  let stele: SteleProcess;
  let alice: MatrixClient;
  let bob: MatrixClient;
  let roomId: string;
  const clients: MatrixClient[] = [];
  /** Keys of secret storage by user, as a person would keep them on paper. */
  const secretKeys = new Map<string, Uint8Array<ArrayBuffer>>();

  beforeAll(async () => {
    muteConsole();
    // Clients put off their first backup so that not all do it at once.
    Object.assign(RustBackupManager, { maxBackupLoopStartDelayMillis: 0 });
    stele = await SteleProcess.make();
    await stele.start();
    alice = await registered('alice');
    bob = await registered('bob');
  });

  afterAll(async () => {
    for (const client of clients) client.stopClient();
    await stele?.remove();
    vi.restoreAllMocks();
  });

  it('two users read each other in an encrypted room', async () => {
    const created = await alice.createRoom({
      invite: ['@bob:localhost'],
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    });
    roomId = created.room_id;
    await onceTrue(bob, () => bob.getRoom(roomId)?.getMyMembership() === 'invite');
    await bob.joinRoom(roomId);
    for (const client of [alice, bob]) {
      await onceTrue(client, () => client.getRoom(roomId)?.getJoinedMemberCount() === 2);
    }
    await alice.sendTextMessage(roomId, 'Good morning');
    expect((await message(bob, 'Good morning')).isEncrypted()).toBe(true);
    await bob.sendTextMessage(roomId, 'How do you know?');
    expect((await message(alice, 'How do you know?')).getSender()).toBe('@bob:localhost');
  });

  it('the server has seen nothing of what they said', async () => {
    const url = `${stele.url}/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=100`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${bob.getAccessToken()}` } });
    const text = await answer.text();
    expect(text).toContain('m.room.encrypted');
    expect(text).not.toContain('Good morning');
  });

  it('a user sets up cross-signing, secret storage and a backup', async () => {
    const crypto = cryptoOf(alice);
    const secretKey = await crypto.createRecoveryKeyFromPassphrase('a phrase on paper');
    secretKeys.set('@alice:localhost', secretKey.privateKey);
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword('alice') });
    const backedUp = allBackedUp(alice);
    await crypto.bootstrapSecretStorage({
      createSecretStorageKey: async () => secretKey,
      setupNewSecretStorage: true,
      setupNewKeyBackup: true,
    });
    expect(await crypto.isCrossSigningReady()).toBe(true);
    expect(await crypto.isSecretStorageReady()).toBe(true);
    await backedUp;
    expect(await keysInBackup(alice)).toBeGreaterThan(0);
    await onceAsync(bob, () => isSignedByOwner(bob, alice));
  });

  it('another device of the user is signed, reads the past from the backup, and what is said from then on', async () => {
    const tablet = await started(await logIn(stele.url, 'alice'));
    const crypto = cryptoOf(tablet);
    expect(await crypto.userHasCrossSigningKeys('@alice:localhost', true)).toBe(true);
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword('alice') });
    expect(await crypto.isCrossSigningReady()).toBe(true);
    await onceAsync(bob, () => isSignedByOwner(bob, tablet));
    await onceAsync(alice, () => isSignedByOwner(alice, tablet));

    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const restored = await crypto.restoreKeyBackup();
    expect(restored.imported).toBe(restored.total);
    expect(restored.imported).toBeGreaterThan(0);
    const room = tablet.getRoom(roomId);
    if (room === null) throw new Error('the room is not in the first sync');
    await tablet.scrollback(room, 50);
    await message(tablet, 'Good morning');
    await message(tablet, 'How do you know?');

    await bob.sendTextMessage(roomId, 'For both of your devices');
    await Promise.all([message(alice, 'For both of your devices'), message(tablet, 'For both of your devices')]);
    await tablet.sendTextMessage(roomId, 'From the tablet');
    await Promise.all([message(alice, 'From the tablet'), message(bob, 'From the tablet')]);
  });

  it('goes on after the server was killed', async () => {
    await stele.stop('SIGKILL');
    await stele.start();
    for (const client of clients) client.retryImmediately();
    await alice.sendTextMessage(roomId, 'After the crash');
    await message(bob, 'After the crash');
  });

  it('a user who has left does not get what is said then', async () => {
    await bob.leave(roomId);
    await onceTrue(alice, () => alice.getRoom(roomId)?.getJoinedMemberCount() === 1);
    await alice.sendTextMessage(roomId, 'Between my devices');
    const [tablet] = clients.slice(-1);
    if (tablet !== undefined) await message(tablet, 'Between my devices');
    expect(bob.getRoom(roomId)?.getLiveTimeline().getEvents().map(bodyOf)).not.toContain('Between my devices');
  });

  it('left no error in the log of the server', () => {
    expect(stele.logged('error')).toEqual([]);
  });

  /** As the server counts. */
  async function keysInBackup(client: MatrixClient): Promise<number> {
    const answer = await fetch(`${stele.url}/_matrix/client/v3/room_keys/version`, {
      headers: { authorization: `Bearer ${client.getAccessToken()}` },
    });
    const { count } = (await answer.json()) as { count: number };
    return count;
  }

  async function registered(username: string): Promise<MatrixClient> {
    return started(await registerAccount(stele.url, username));
  }

  /** A client with cryptography in memory, after its first sync. */
  async function started(account: Account): Promise<MatrixClient> {
    const client = clientOf(stele.url, account, {
      cryptoCallbacks: {
        getSecretStorageKey: async ({ keys }) => {
          const [keyId] = Object.keys(keys);
          const key = secretKeys.get(account.user_id);
          return keyId === undefined || key === undefined ? null : [keyId, key];
        },
      },
    });
    clients.push(client);
    await startSyncing(client, { withCrypto: true });
    return client;
  }

  function message(client: MatrixClient, body: string): Promise<MatrixEvent> {
    return messageIn(client, roomId, body);
  }
});

/** Resolves when the client has put all its keys into the backup. */
function allBackedUp(client: MatrixClient): Promise<void> {
  return new Promise((resolve) => {
    const check = (remaining: number): void => {
      if (remaining > 0) return;
      client.off(CryptoEvent.KeyBackupSessionsRemaining, check);
      resolve();
    };
    client.on(CryptoEvent.KeyBackupSessionsRemaining, check);
  });
}

/** Whether a client sees that another device is signed with the cross-signing keys of its user. */
async function isSignedByOwner(viewer: MatrixClient, of: MatrixClient): Promise<boolean> {
  const [userId, deviceId] = [of.getUserId(), of.getDeviceId()];
  if (userId === null || deviceId === null) throw new Error('the client is not logged in');
  const status = await cryptoOf(viewer).getDeviceVerificationStatus(userId, deviceId);
  return status?.signedByOwner === true;
}
