/** Events that are sent later: when, unless, and after a restart. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  DelayedEvents,
  MAX_DELAY_MS,
  MAX_DELAYED_OF_USER,
  SHORT_DELAY_MS,
} from '#src/delayed-events/delayed-events.ts';
import { silentLog } from '#src/log/logger.ts';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let roomId: string;
beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  const users = { [bob.userId]: 50 };
  roomId = String(
    (
      await alice.ok('POST', '/createRoom', {
        preset: 'public_chat',
        power_level_content_override: { users_default: 50, users },
      })
    ).room_id,
  );
  await bob.ok('POST', `/join/${roomId}`);
});
afterEach(() => app.close());

const UNSTABLE = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events';
const DELAY = 'org.matrix.msc4140.delay';
let transactions = 0;

async function later(who: TestClient, delayMs: number, body = 'later'): Promise<string> {
  transactions += 1;
  const at = `/rooms/${roomId}/send/m.room.message/d${transactions}?${DELAY}=${delayMs}`;
  return String((await who.ok('PUT', at, { msgtype: 'm.text', body })).delay_id);
}
async function stateLater(who: TestClient, delayMs: number, topic: string): Promise<string> {
  const at = `/rooms/${roomId}/state/m.room.topic?${DELAY}=${delayMs}`;
  return String((await who.ok('PUT', at, { topic })).delay_id);
}
const act = (delayId: string, action: string) => request(app.http, 'POST', `${UNSTABLE}/${delayId}`, { action });
async function waiting(who: TestClient): Promise<unknown[]> {
  return (await who.ok('GET', UNSTABLE)).delayed_events as unknown as unknown[];
}
async function said(): Promise<unknown[]> {
  const { chunk } = await alice.ok('GET', `/rooms/${roomId}/messages?dir=b&limit=50`);
  return (chunk as unknown as { type: string; content: { body: string } }[])
    .filter(({ type }) => type === 'm.room.message')
    .map(({ content }) => content.body)
    .reverse();
}
const topic = async () => (await alice.call('GET', `/rooms/${roomId}/state/m.room.topic`)).body['topic'];

/** The next message in the room, waited for as clients do. */
async function nextMessage(who: TestClient, since: string): Promise<unknown> {
  for (let token = since; ; ) {
    const body = (await who.ok('GET', `/sync?since=${token}&timeout=60000`)) as unknown as {
      next_batch: string;
      rooms?: { join?: Record<string, { timeline: { events: { type: string; content: object }[] } }> };
    };
    const events = body.rooms?.join?.[roomId]?.timeline.events ?? [];
    const message = events.find(({ type }) => type === 'm.room.message');
    if (message !== undefined) return message;
    token = body.next_batch;
  }
}

test('an event is sent when its delay is over, as by its sender', async () => {
  const { next_batch: since } = await bob.ok('GET', '/sync');
  await later(alice, 5);
  expect(await nextMessage(bob, String(since))).toMatchObject({ sender: alice.userId, content: { body: 'later' } });
  expect(await waiting(alice)).toEqual([]);
});

test('it is shown to its sender alone until then', async () => {
  const delayId = await later(alice, 60_000);
  expect(await waiting(alice)).toEqual([
    {
      delay_id: delayId,
      room_id: roomId,
      type: 'm.room.message',
      delay: 60_000,
      running_since: expect.any(Number),
      content: { msgtype: 'm.text', body: 'later' },
    },
  ]);
  expect(await waiting(bob)).toEqual([]);
  expect(await said()).toEqual([]);
});

test('it can be sent at once, or cancelled, by whoever knows its id', async () => {
  const sent = await later(alice, 60_000, 'sent');
  const cancelled = await later(alice, 60_000, 'cancelled');
  expect(errorOf(await act(sent, 'send'))).toBe('200');
  expect(errorOf(await request(app.http, 'POST', `${UNSTABLE}/${cancelled}/cancel`))).toBe('200');
  expect(await said()).toEqual(['sent']);
  expect(await waiting(alice)).toEqual([]);
  for (const action of ['send', 'cancel', 'restart']) {
    expect(errorOf(await act('unknown', action))).toBe('404 M_NOT_FOUND');
  }
  // Asked again since the answer was lost, or otherwise than it ended.
  expect([await act(sent, 'send'), await act(cancelled, 'cancel')].map(errorOf)).toEqual(['200', '200']);
  expect([await act(sent, 'cancel'), await act(cancelled, 'send')].map(errorOf)).toEqual(
    Array(2).fill('409 M_UNKNOWN'),
  );
  expect([await act(sent, 'restart'), await act(cancelled, 'restart')].map(errorOf)).toEqual(
    Array(2).fill('404 M_NOT_FOUND'),
  );
  expect(await said()).toEqual(['sent']);
  expect(errorOf(await act('unknown', 'stop'))).toBe('400 M_BAD_JSON');
});

test('it can be asked for by an endpoint of its own, for messages and state, once for each transaction', async () => {
  const at = (type: string) =>
    `/_matrix/client/unstable/org.matrix.msc4140/rooms/${roomId}/delayed_event/${type}/t${type}`;
  const message = { delay: 60_000, content: { msgtype: 'm.text', body: 'later' } };
  const { delay_id: delayId } = await alice.ok('PUT', at('m.room.message'), message);
  expect(await alice.ok('PUT', at('m.room.message'), message)).toEqual({ delay_id: delayId });
  await alice.ok('PUT', `/rooms/${roomId}/send/m.room.message/tm.room.message`, { msgtype: 'm.text', body: 'now' });
  const state = { delay: 60_000, state_key: '', content: { topic: 'later' } };
  const { delay_id: stateId } = await alice.ok('PUT', at('m.room.topic'), state);
  expect(await alice.ok('GET', `${UNSTABLE}/${String(stateId)}`)).toMatchObject({
    ...state,
    delay_id: stateId,
    room_id: roomId,
    type: 'm.room.topic',
  });
  expect(errorOf(await bob.call('GET', `${UNSTABLE}/${String(stateId)}`))).toBe('404 M_NOT_FOUND');
  for (const id of [delayId, stateId]) await act(String(id), 'send');
  expect([await said(), await topic()]).toEqual([['now', 'later'], 'later']);
  for (const wrong of [
    { ...message, delay: 0 },
    { ...message, content: 'text' },
  ]) {
    expect(errorOf(await alice.call('PUT', at('m.room.message'), wrong))).toBe('400 M_BAD_JSON');
  }
});

test('its delay can begin anew', async () => {
  const delayId = await later(alice, 2 * SHORT_DELAY_MS);
  const [before] = (await waiting(alice)) as { running_since: number }[];
  app.advance(1_000);
  expect(errorOf(await act(delayId, 'restart'))).toBe('200');
  const [after] = (await waiting(alice)) as { running_since: number }[];
  expect(Number(after?.running_since) - Number(before?.running_since)).toBeGreaterThanOrEqual(1_000);
});

test('sending the same again schedules it once', async () => {
  const at = `/rooms/${roomId}/send/m.room.message/same?${DELAY}=60000`;
  const body = { msgtype: 'm.text', body: 'once' };
  const [one, two] = await Promise.all([alice.ok('PUT', at, body), alice.ok('PUT', at, body)]);
  expect(one).toEqual(two);
  expect(await waiting(alice)).toHaveLength(1);
});

describe('a state event', () => {
  test('is set when its delay is over', async () => {
    await act(await stateLater(alice, 60_000, 'later'), 'send');
    expect(await topic()).toBe('later');
  });

  test('does not come after somebody else has set the same, but after its sender has', async () => {
    const alices = await stateLater(alice, 60_000, 'delayed');
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'hers' });
    expect(await waiting(alice)).toHaveLength(1);
    await bob.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'his' });
    expect(errorOf(await act(alices, 'send'))).toBe('409 M_UNKNOWN');
    expect(errorOf(await act(alices, 'cancel'))).toBe('200');
    expect(await topic()).toBe('his');
    await later(alice, 60_000);
    expect(await waiting(alice)).toHaveLength(1);
  });
});

test('what may not be sent is refused when it is sent, and to who is not there at once', async () => {
  const carol = await app.register('carol');
  expect(errorOf(await carol.call('PUT', `/rooms/${roomId}/send/m.room.message/c?${DELAY}=1000`, {}))).toBe(
    '403 M_FORBIDDEN',
  );
  const delayId = await later(bob, 60_000);
  await bob.ok('POST', `/rooms/${roomId}/leave`);
  expect(errorOf(await act(delayId, 'send'))).toBe('403 M_FORBIDDEN');
  expect(await said()).toEqual([]);
});

test('there are bounds to how long and how many', async () => {
  const at = `/rooms/${roomId}/send/m.room.message/x?${DELAY}=${MAX_DELAY_MS + 1}`;
  const tooLong = await alice.call('PUT', at, {});
  expect(tooLong).toMatchObject({
    status: 400,
    body: {
      'org.matrix.msc4140.errcode': 'M_MAX_DELAY_EXCEEDED',
      'org.matrix.msc4140.max_delay': MAX_DELAY_MS,
    },
  });
  expect(errorOf(await alice.call('PUT', at.replace(/=\d+$/, '=soon'), {}))).toBe('400 M_INVALID_PARAM');
  for (let count = 0; count < MAX_DELAYED_OF_USER; count += 1) await later(alice, 60_000);
  const one = await alice.call('PUT', `/rooms/${roomId}/send/m.room.message/y?${DELAY}=60000`, {});
  expect(errorOf(one)).toBe('429 M_LIMIT_EXCEEDED');
  await later(bob, 60_000);
});

describe('after a restart', () => {
  /** What the server does when it starts again, on the same log. */
  function restart(): DelayedEvents {
    const { delayedEvents, reader, commands, rooms, newRecordId, clock } = app.context;
    delayedEvents[Symbol.dispose]();
    const again = new DelayedEvents({
      reader,
      commands,
      engine: app.engine,
      clock,
      newRecordId,
      logger: silentLog(),
      send: ({ roomId: room, userId: sender, type, delayId, deviceKey, txnId = delayId }, content) =>
        rooms.send(room, { sender, type, content }, { deviceId: deviceKey, txnId }),
    });
    again.start();
    return again;
  }

  test('what is due is sent, what is not waits on, and a short delay begins anew', async () => {
    const due = await later(alice, 2 * SHORT_DELAY_MS, 'due');
    const short = await later(alice, SHORT_DELAY_MS, 'short');
    app.advance(2 * SHORT_DELAY_MS);
    const notDue = await later(alice, 2 * SHORT_DELAY_MS, 'not due');
    const { next_batch: since } = await bob.ok('GET', '/sync');
    using again = restart();
    expect(await nextMessage(bob, String(since))).toMatchObject({ content: { body: 'due' } });
    const ids = again.of(alice.userId).map(({ delayId }) => delayId);
    expect(ids.filter((delayId) => delayId !== due)).toEqual([short, notDue]);
  });

  test('what was sent already, though nobody had written that down, is not sent again', async () => {
    const delayId = await later(alice, 60_000, 'once');
    const [scheduled] = app.context.delayedEvents.of(alice.userId);
    await app.context.rooms.send(
      roomId,
      { sender: alice.userId, type: 'm.room.message', content: { msgtype: 'm.text', body: 'once' } },
      { deviceId: String(scheduled?.deviceKey), txnId: String(scheduled?.txnId) },
    );
    using again = restart();
    await again.act(delayId, 'send');
    expect(await said()).toEqual(['once']);
  });
});
