/** What was said in a room as it was shown at a moment, on the command line beside a server. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ServerFolder } from './server-folder.test-support.ts';

let server: ServerFolder;
beforeAll(async () => {
  server = await ServerFolder.make();
  await server.start();
});
afterAll(() => server.remove());

it('what was redacted only later is shown as it was, and who looked is on record', async () => {
  const ann = await server.register('ann');
  const room = await server.makeRoom(ann);
  const eventId = await server.say(ann, room, 'meet me at noon');
  const thenMs = Date.now();
  const then = new Date(thenMs).toISOString();
  // What comes next is of another millisecond.
  while (Date.now() === thenMs) await nextTurn();
  await server.say(ann, room, 'later');
  await server.ok('PUT', `/rooms/${room}/redact/${encodeURIComponent(eventId)}/r1`, { token: ann.token, body: {} });
  const timeline = async (...args: string[]) => {
    const grounds = ['--reason', 'complaint', '--case', 'C-1', '--json'];
    const { status, out } = await server.stele('rooms', 'timeline', room, ...grounds, ...args);
    expect(status).toBe(0);
    const events = out.split('\n').map((line) => JSON.parse(line) as { event_id: string; content: { body?: string } });
    return { events, of: events.find(({ event_id }) => event_id === eventId) };
  };
  expect((await timeline()).of).toMatchObject({ is_redacted: true, content: {} });
  for (const moment of [eventId, then]) {
    const { events, of } = await timeline('--as-of', moment);
    expect(of).toMatchObject({ is_redacted: false, content: { body: 'meet me at noon' } });
    expect(events.at(-1)).toBe(of);
  }
  const { out } = await server.stele('audit', '--action', 'content.read', '--room', room, '--json');
  expect(out.split('\n').map((line) => JSON.parse(line))).toMatchObject(
    Array(3).fill({ actor: { kind: 'operator' }, reason: 'complaint', case_id: 'C-1' }),
  );
  expect((await server.stele('rooms', 'timeline', room)).status).toBe(2);
});
