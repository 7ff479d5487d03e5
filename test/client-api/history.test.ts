import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, type EventAnswer, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterEach(() => app.close());

interface Page {
  readonly chunk: readonly EventAnswer[];
  readonly start: string;
  readonly end?: string;
  readonly state?: readonly EventAnswer[];
}

async function page(client: TestClient, roomId: string, parameters: Record<string, string | number>): Promise<Page> {
  const query = new URLSearchParams(
    Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]),
  );
  return (await client.ok('GET', `/rooms/${roomId}/messages?${query}`)) as unknown as Page;
}

async function allPages(client: TestClient, roomId: string, parameters: Record<string, string | number>) {
  const events: EventAnswer[] = [];
  let from: string | undefined;
  do {
    const { chunk, end } = await page(client, roomId, { ...parameters, ...(from !== undefined && { from }) });
    events.push(...chunk);
    from = end;
  } while (from !== undefined);
  return events;
}

async function say(client: TestClient, roomId: string, count: number): Promise<string[]> {
  const sent: string[] = [];
  for (let index = 0; index < count; index += 1) sent.push(await sayIn(client, roomId, `message ${index}`));
  return sent;
}

const bodies = (events: readonly EventAnswer[]) => events.map(({ content }) => content.body).filter(Boolean);
const ids = (events: readonly EventAnswer[]) => events.map(({ event_id }) => event_id);

describe('messages', () => {
  it('page through the whole history, both ways, without gap or repeat', async () => {
    const roomId = await createRoom(alice);
    const sent = await say(alice, roomId, 25);
    const back = await allPages(alice, roomId, { dir: 'b', limit: 7 });
    const forth = await allPages(alice, roomId, { dir: 'f', limit: 4 });
    expect(ids(back)).toEqual(ids(forth).reverse());
    expect(ids(forth).slice(-25)).toEqual(sent);
    expect(forth[0]?.type).toBe('m.room.create');
    expect(new Set(ids(back)).size).toBe(back.length);
    expect(forth.at(-1)).toMatchObject({ room_id: roomId });
  });

  it('begin where a sync token says, in both directions', async () => {
    const roomId = await createRoom(alice);
    await sayIn(alice, roomId, 'before');
    const { next_batch } = await sync(alice);
    const after = await say(alice, roomId, 3);
    expect(ids((await page(alice, roomId, { dir: 'f', from: next_batch })).chunk)).toEqual(after);
    expect(bodies((await page(alice, roomId, { dir: 'b', from: next_batch, limit: 1 })).chunk)).toEqual(['before']);
    expect(ids((await page(alice, roomId, { dir: 'b', from: '', to: '', limit: 1 })).chunk)).toEqual(after.slice(-1));
  });

  it('have an end until one is empty, which clients take for the end of all', async () => {
    const roomId = await createRoom(alice);
    await say(alice, roomId, 3);
    const all = await page(alice, roomId, { dir: 'b', limit: 500 });
    expect((await page(alice, roomId, { dir: 'b', limit: all.chunk.length - 1 })).end).toBeDefined();
    expect(all.end).toBeDefined();
    const behind = await page(alice, roomId, { dir: 'b', from: String(all.end) });
    expect(behind).toMatchObject({ chunk: [] });
    expect(behind.end).toBeUndefined();
  });

  it('are filtered, and bring the members who sent them', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    await alice.ok('PUT', `/rooms/${roomId}/send/m.room.message/pic`, { body: 'picture', url: 'mxc://localhost/a' });
    await say(alice, roomId, 2);
    await sayIn(bob, roomId, 'from bob');
    const withUrl = await allPages(alice, roomId, { dir: 'b', filter: '{"contains_url":true}' });
    expect(bodies(withUrl)).toEqual(['picture']);
    const filter = JSON.stringify({ senders: [bob.userId], lazy_load_members: true, types: ['m.room.message'] });
    const { chunk, state } = await page(alice, roomId, { dir: 'b', filter });
    expect(bodies(chunk)).toEqual(['from bob']);
    expect(state?.map(({ state_key }) => state_key)).toEqual([bob.userId]);
  });

  it.each(['from=x', 'dir=up', 'limit=-1', 'from=t1', 'to=s3', 'filter=no'])('refuse %s', async (wrong) => {
    const roomId = await createRoom(alice);
    const given = wrong.startsWith('dir') ? wrong : `dir=b&${wrong}`;
    const { status, body } = await alice.call('GET', `/rooms/${roomId}/messages?${given}`);
    expect([status, body.errcode]).toEqual([400, 'M_INVALID_PARAM']);
  });
});

describe('who sees what', () => {
  const visible = (history_visibility: string, preset = 'public_chat') => ({
    preset,
    initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility } }],
  });

  it.each([
    ['world_readable', ['before invite', 'invited', 'joined']],
    ['shared', ['before invite', 'invited', 'joined']],
    ['invited', ['invited', 'joined']],
    ['joined', ['joined']],
  ])('with a visibility of %s, a new member sees %j', async (history, expected) => {
    const roomId = await createRoom(alice, visible(history));
    await sayIn(alice, roomId, 'before invite');
    await alice.ok('POST', `/rooms/${roomId}/invite`, { user_id: bob.userId });
    const invited = await sayIn(alice, roomId, 'invited');
    await bob.ok('POST', `/join/${roomId}`);
    await sayIn(alice, roomId, 'joined');
    expect(bodies(await allPages(bob, roomId, { dir: 'f' }))).toEqual(expected);
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    await sayIn(alice, roomId, 'left');
    const afterwards = history === 'world_readable' ? [...expected, 'left'] : expected;
    expect(bodies(await allPages(bob, roomId, { dir: 'f' }))).toEqual(afterwards);
    const { status } = await bob.call('GET', `/rooms/${roomId}/event/${invited}`);
    expect(status).toBe(expected.includes('invited') ? 200 : 404);
  });

  it('nobody sees what came after they left, the state of the room neither', async () => {
    const roomId = await createRoom(alice, { ...visible('shared'), name: 'before' });
    await bob.ok('POST', `/join/${roomId}`);
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.name`, { name: 'after' });
    const eventId = await sayIn(alice, roomId, 'secret');
    expect((await bob.ok('GET', `/rooms/${roomId}/state/m.room.name`)).name).toBe('before');
    const state = (await bob.ok('GET', `/rooms/${roomId}/state`)) as unknown as EventAnswer[];
    expect(state.find(({ type }) => type === 'm.room.name')?.content).toEqual({ name: 'before' });
    expect((await bob.call('GET', `/rooms/${roomId}/event/${eventId}`)).status).toBe(404);
    expect((await bob.call('GET', `/rooms/${roomId}/context/${eventId}`)).status).toBe(404);
    const newest = (await page(bob, roomId, { dir: 'b', limit: 1 })).chunk[0];
    expect(newest).toMatchObject({ state_key: bob.userId, content: { membership: 'leave' } });
    await bob.ok('POST', `/rooms/${roomId}/forget`);
    for (const at of ['messages?dir=b', 'state', 'state/m.room.name', 'members']) {
      expect((await bob.call('GET', `/rooms/${roomId}/${at}`)).body.errcode).toBe('M_FORBIDDEN');
    }
  });

  it('strangers see only what the world may read', async () => {
    const [closed, open] = [
      await createRoom(alice, visible('shared')),
      await createRoom(alice, visible('world_readable')),
    ];
    const [secret, news] = [await sayIn(alice, closed, 'secret'), await sayIn(alice, open, 'news')];
    for (const at of ['messages?dir=b', 'state', 'members', `context/${secret}`]) {
      expect((await bob.call('GET', `/rooms/${closed}/${at}`)).status).toBe(403);
    }
    expect((await bob.call('GET', `/rooms/${closed}/event/${secret}`)).status).toBe(404);
    expect(bodies((await page(bob, open, { dir: 'b' })).chunk)).toEqual(['news']);
    expect((await bob.call('GET', `/rooms/${open}/event/${news}`)).status).toBe(200);
    expect((await bob.call('GET', `/rooms/${open}/joined_members`)).status).toBe(403);
    expect((await bob.call('GET', '/rooms/!unknown:localhost/state')).body.errcode).toBe('M_FORBIDDEN');
  });

  it('a change of the visibility is seen by those whom the one before or after it lets see it', async () => {
    const roomId = await createRoom(alice, visible('joined'));
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.history_visibility`, { history_visibility: 'shared' });
    await sayIn(alice, roomId, 'shared');
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.history_visibility`, { history_visibility: 'joined' });
    await sayIn(alice, roomId, 'hidden');
    await bob.ok('POST', `/join/${roomId}`);
    const seen = await allPages(bob, roomId, { dir: 'f' });
    // What came before the first of them was shared by default.
    expect(seen.slice(-5).map(({ type, content }) => content.history_visibility ?? content.body ?? type)).toEqual([
      'joined',
      'shared',
      'shared',
      'joined',
      'm.room.member',
    ]);
  });
});

describe('single pieces', () => {
  it('the context of an event', async () => {
    const roomId = await createRoom(alice, { name: 'Stones' });
    const sent = await say(alice, roomId, 9);
    const answer = await alice.ok('GET', `/rooms/${roomId}/context/${sent[4]}?limit=4`);
    const context = answer as unknown as {
      events_before: EventAnswer[];
      event: EventAnswer;
      events_after: EventAnswer[];
    };
    expect(ids(context.events_before)).toEqual([sent[3], sent[2]]);
    expect(context.event.event_id).toBe(sent[4]);
    expect(ids(context.events_after)).toEqual([sent[5], sent[6]]);
    const before = await page(alice, roomId, { dir: 'b', from: String(answer.start), limit: 1 });
    const after = await page(alice, roomId, { dir: 'f', from: String(answer.end), limit: 1 });
    expect([...ids(before.chunk), ...ids(after.chunk)]).toEqual([sent[1], sent[7]]);
    const types = (answer.state as unknown as EventAnswer[]).map(({ type }) => type);
    expect(types).toContain('m.room.name');
    const none = await alice.ok('GET', `/rooms/${roomId}/context/${sent[4]}?limit=0`);
    expect([none.events_before, none.events_after]).toEqual([[], []]);
  });

  it('a state event, its content or whole', async () => {
    const roomId = await createRoom(alice, { name: 'before' });
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.name`, { name: 'after' });
    expect(await alice.ok('GET', `/rooms/${roomId}/state/m.room.name/`)).toEqual({ name: 'after' });
    const event = (await alice.ok('GET', `/rooms/${roomId}/state/m.room.name?format=event`)) as unknown as EventAnswer;
    expect(event).toMatchObject({ type: 'm.room.name', state_key: '', room_id: roomId, content: { name: 'after' } });
    expect(event.unsigned).toMatchObject({ prev_content: { name: 'before' }, replaces_state: expect.any(String) });
    for (const at of ['m.room.topic', `m.room.name/${'x'.repeat(300)}`]) {
      expect((await alice.call('GET', `/rooms/${roomId}/state/${at}`)).body.errcode).toBe('M_NOT_FOUND');
    }
  });

  it('a redacted event, with what redacted it', async () => {
    const roomId = await createRoom(alice);
    const eventId = await sayIn(alice, roomId, 'oops');
    const { event_id } = await alice.ok('PUT', `/rooms/${roomId}/redact/${eventId}/r1`, { reason: 'typo' });
    const event = (await alice.ok('GET', `/rooms/${roomId}/event/${eventId}`)) as unknown as EventAnswer;
    expect(event.content).toEqual({});
    expect(event.unsigned?.redacted_because).toMatchObject({ event_id, redacts: eventId, content: { reason: 'typo' } });
  });

  it('the members, now and at a token, by membership', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    const { next_batch: at } = await sync(alice);
    await bob.ok('POST', `/join/${roomId}`);
    const membersAt = async (query: string) =>
      ((await alice.ok('GET', `/rooms/${roomId}/members?${query}`)).chunk as unknown as EventAnswer[]).map(
        ({ state_key }) => state_key,
      );
    expect(await membersAt('')).toEqual([alice.userId, bob.userId]);
    expect(await membersAt(`at=${at}`)).toEqual([alice.userId]);
    await alice.ok('POST', `/rooms/${roomId}/ban`, { user_id: bob.userId });
    expect(await membersAt('membership=join')).toEqual([alice.userId]);
    expect(await membersAt('not_membership=join')).toEqual([bob.userId]);
    expect(await membersAt('membership=join&not_membership=leave')).toEqual([alice.userId, bob.userId]);
    expect((await alice.ok('GET', `/rooms/${roomId}/joined_members`)).joined).toEqual({
      [alice.userId]: expect.any(Object),
    });
  });
});
