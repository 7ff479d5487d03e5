/** Names that changed when the server ended, before all rooms were told. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openFolderApplication, type Person } from '#test/compliance/folder-application.test-support.ts';
import { makeRoom } from '#test/compliance/support.ts';
import type { TestClient } from '#test/support/application.ts';

test('rooms that were not told of a name are told at the next start, and keep one that was taken for them since', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-profiles-'));
  let nowMs = 1_700_000_000_000;
  const open = () => openFolderApplication(path.join(folder, 'data'), () => nowMs++);
  const at = (roomId: string, { userId }: Person) =>
    `/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${userId}`;
  const nameIn = async (client: TestClient, roomId: string, person: Person) =>
    (await client.ok('GET', at(roomId, person)))['displayname'];
  let one = await open();
  try {
    const people = [await one.register('carl'), await one.register('shade')] as const;
    const [carl, shade] = people.map((person) => one.as(person)) as [TestClient, TestClient];
    await carl.ok('PUT', `/profile/${people[0].userId}/displayname`, { displayname: 'Before' });
    const [untold, named] = [await makeRoom(carl), await makeRoom(carl)];
    await shade.ok('POST', `/join/${encodeURIComponent(untold)}`, {});
    // It is on record, and the server is killed before any room is told.
    for (const { userId } of people) {
      await one.context.profiles.set(userId, 'displayname', 'After', { isShown: false });
    }
    await carl.ok('PUT', at(named, people[0]), { membership: 'join', displayname: 'Only here' });
    await one.context.accounts.moderation.setShadowBanned(people[1].userId, true);
    expect(await nameIn(carl, untold, people[0])).toBe('Before');
    await one.close();

    one = await open();
    await one.context.profiles.settled();
    const again = one.as(people[0]);
    expect(await nameIn(again, untold, people[0])).toBe('After');
    expect(await nameIn(again, named, people[0])).toBe('Only here');
    // Of whom nobody is to hear nobody hears at a start either.
    expect(await nameIn(again, untold, people[1])).not.toBe('After');
    const head = one.log.head();
    await one.close();

    one = await open();
    await one.context.profiles.settled();
    expect(one.log.head()).toBe(head);
  } finally {
    await one.close();
    await rm(folder, { recursive: true });
  }
});
