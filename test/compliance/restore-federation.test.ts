/** What other servers see of a server that goes on from a backup. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { changeNumberOffset } from '#projections/backups/projection.ts';
import { BACKUP_RESTORED, BACKUPS_STREAM, backupRecord } from '#projections/backups/records.ts';
import { remoteListOf } from '#projections/encryption/key-queries.ts';
import { deviceKeysOf, query } from '#test/client-api/encryption-client.ts';
import { TwoServers } from '#test/federation/two-in-a-room.ts';

let servers: TwoServers;
beforeAll(async () => {
  servers = await TwoServers.start();
});
afterAll(() => servers.close());

/** Puts on record that the first server's log was restored, as a restore does before anything else. */
async function restoreOne(restoredAtMs: number): Promise<void> {
  const { commands, newRecordId } = servers.one.context;
  const fields = {
    generation: '20260101T000000000Z-1',
    records: 1,
    checkpoint: '',
    oldLogKey: 'old',
    newLogKey: 'new',
    erasuresApplied: 0,
    restoredAtMs,
  };
  await commands.run(BACKUPS_STREAM, () => ({
    records: [backupRecord(newRecordId(), { kind: BACKUP_RESTORED, fields })],
    result: undefined,
  }));
}

test('device lists are asked for anew on both sides, and the numbers of changes go on growing', async () => {
  const { alice, bob } = await servers.meet();
  const { one, two } = servers;
  await alice.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(alice, 'alice') });
  await bob.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(bob, 'bob') });
  await query(bob, alice.userId);
  await query(alice, bob.userId);
  const numbers = () => remoteListOf(two.context.reader, alice.userId)?.streamIds ?? [];
  await servers.eventually(() => numbers().length > 0);
  const before = Math.max(...numbers());

  const restoredAtMs = 1_800_000_000_000;
  await restoreOne(restoredAtMs);
  expect(changeNumberOffset(one.context.reader)).toBeGreaterThan(before);
  await servers.eventually(() => {
    const list = remoteListOf(two.context.reader, alice.userId);
    return list?.isOutdated === false && Math.max(...list.streamIds) > restoredAtMs * 1000;
  });
  await servers.eventually(() => remoteListOf(one.context.reader, bob.userId)?.isOutdated === false);
  const { device_keys: keys } = await query(bob, alice.userId);
  expect(keys[alice.userId]?.[alice.deviceId]?.keys[`ed25519:${alice.deviceId}`]).toBe('alice');

  // The next change follows the ones since the restore: it is taken as it comes, and nothing is asked.
  const atRestore = Math.max(...numbers());
  await alice.ok('POST', '/keys/upload', { device_keys: deviceKeysOf(alice, 'alice again') });
  await servers.eventually(() => Math.max(...numbers()) > atRestore);
});
