/** What is left of users who closed their account and wished to be forgotten. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, type EventAnswer, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let witness: TestClient;
let newcomer: TestClient;

beforeAll(async () => {
  app = await startApplication();
  [witness, newcomer] = [await app.register('witness'), await app.register('newcomer')];
});
afterAll(() => app.close());

it.each([
  ['alice', true],
  ['carol', false],
])('only who was there sees what %s said, if they are to be forgotten: %j', async (name, erase) => {
  const leaver = await app.register(name);
  const roomId = await createRoom(leaver, { preset: 'public_chat' });
  await witness.ok('POST', `/join/${roomId}`);
  const eventId = await sayIn(leaver, roomId, 'secret');
  await leaver.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'old secret' });
  await leaver.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'new secret' });
  const later = await sayIn(witness, roomId, 'from another');
  await newcomer.ok('POST', `/join/${roomId}`);
  await leaver.ok('POST', '/account/deactivate', {
    erase,
    auth: {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: leaver.userId },
      password: 'correct horse battery staple',
    },
  });
  for (const [reader, sees] of [
    [witness, true],
    [newcomer, !erase],
  ] as const) {
    const timeline = (await sync(reader)).rooms?.join?.[roomId]?.timeline.events ?? [];
    const { chunk } = await reader.ok('GET', `/rooms/${roomId}/messages?dir=b&limit=100`);
    const single = (await reader.ok('GET', `/rooms/${roomId}/event/${eventId}`)) as unknown as EventAnswer;
    for (const events of [timeline, chunk as unknown as EventAnswer[], [single]]) {
      expect(events.find(({ event_id }) => event_id === eventId)?.content).toEqual(
        sees ? { body: 'secret', msgtype: 'm.text' } : {},
      );
      expect(JSON.stringify(events).includes('secret')).toBe(sees);
    }
    const other = (await reader.ok('GET', `/rooms/${roomId}/event/${later}`)) as unknown as EventAnswer;
    expect(other.content['body']).toBe('from another');
  }
});
