import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { auditPage } from '#projections/audit/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, type EventAnswer, sayIn, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let roomId: string;
let transactions = 0;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
  roomId = await createRoom(alice, { preset: 'public_chat' });
  await bob.ok('POST', `/join/${roomId}`);
});

afterEach(() => app.close());

interface Related extends EventAnswer {
  readonly unsigned?: EventAnswer['unsigned'] & {
    readonly 'm.relations'?: {
      readonly 'm.replace'?: Related;
      readonly 'm.thread'?: {
        readonly latest_event: Related;
        readonly count: number;
        readonly current_user_participated: boolean;
      };
      readonly 'm.reference'?: { readonly chunk: readonly { readonly event_id: string }[] };
    };
  };
}

interface Page {
  readonly chunk: readonly Related[];
  readonly next_batch?: string;
  readonly prev_batch?: string;
  readonly recursion_depth?: number;
}

async function send(client: TestClient, content: object, type = 'm.room.message'): Promise<string> {
  transactions += 1;
  const body = type === 'm.room.message' ? { msgtype: 'm.text', body: 'text', ...content } : content;
  return String((await client.ok('PUT', `/rooms/${roomId}/send/${type}/r${transactions}`, body)).event_id);
}

const relate = (client: TestClient, rel_type: string, event_id: string, more: object = {}, type?: string) =>
  send(client, { 'm.relates_to': { rel_type, event_id }, ...more }, type);

const edit = (client: TestClient, event_id: string, body: string) =>
  relate(client, 'm.replace', event_id, { body: `* ${body}`, 'm.new_content': { body, msgtype: 'm.text' } });

const react = (client: TestClient, event_id: string, key: string, type = 'm.reaction') =>
  send(client, { 'm.relates_to': { rel_type: 'm.annotation', event_id, key } }, type);

const event = async (client: TestClient, id: string) =>
  (await client.ok('GET', `/rooms/${roomId}/event/${id}`)) as unknown as Related;

const bundled = async (client: TestClient, id: string) => (await event(client, id)).unsigned?.['m.relations'];

const pageOf = async (client: TestClient, at: string) =>
  (await client.ok('GET', `/_matrix/client/v1/rooms/${roomId}/${at}`)) as unknown as Page;

const ids = ({ chunk }: Page) => chunk.map(({ event_id }) => event_id);

async function redact(client: TestClient, id: string): Promise<void> {
  transactions += 1;
  await client.ok('PUT', `/rooms/${roomId}/redact/${id}/r${transactions}`, {});
}

async function ignore(client: TestClient, ...users: TestClient[]): Promise<void> {
  const ignored_users = Object.fromEntries(users.map(({ userId }) => [userId, {}]));
  await client.ok('PUT', `/user/${client.userId}/account_data/m.ignored_user_list`, { ignored_users });
}

describe('edits', () => {
  it('are bundled whole with the event, whose own content stays', async () => {
    const original = await sayIn(alice, roomId, 'first');
    await edit(alice, original, 'second');
    const last = await edit(alice, original, 'third');
    const shown = await event(bob, original);
    expect(shown.content.body).toBe('first');
    const replacement = shown.unsigned?.['m.relations']?.['m.replace'];
    expect(replacement).toMatchObject({
      event_id: last,
      sender: alice.userId,
      room_id: roomId,
      type: 'm.room.message',
      content: { body: '* third', 'm.new_content': { body: 'third' }, 'm.relates_to': { event_id: original } },
    });
    expect(replacement?.unsigned).toMatchObject({ membership: 'join' });
  });

  it('of others, of another type, without new content, of edits or of state count for nothing', async () => {
    const original = await sayIn(alice, roomId, 'mine');
    await edit(bob, original, 'not yours');
    await relate(alice, 'm.replace', original, { 'm.new_content': { body: 'x' } }, 'com.example.other');
    await relate(alice, 'm.replace', original, { body: 'nothing new' });
    expect(await bundled(alice, original)).toBeUndefined();
    const good = await edit(alice, original, 'good');
    await edit(alice, good, 'edit of an edit');
    expect((await bundled(alice, original))?.['m.replace']?.event_id).toBe(good);
    expect(await bundled(alice, good)).toBeUndefined();
    const state = await alice.ok('PUT', `/rooms/${roomId}/state/m.room.topic`, { topic: 'a' });
    await relate(alice, 'm.replace', String(state.event_id), { 'm.new_content': { topic: 'b' } }, 'm.room.topic');
    expect(await bundled(alice, String(state.event_id))).toBeUndefined();
  });

  it('of encrypted events need not show what they say', async () => {
    const original = await send(alice, { ciphertext: 'a' }, 'm.room.encrypted');
    const replacement = await relate(alice, 'm.replace', original, { ciphertext: 'b' }, 'm.room.encrypted');
    expect((await bundled(bob, original))?.['m.replace']?.event_id).toBe(replacement);
  });

  it('give way to the one before when they are redacted, and are gone when the original is', async () => {
    const original = await sayIn(alice, roomId, 'first');
    const second = await edit(alice, original, 'second');
    await redact(alice, await edit(alice, original, 'third'));
    expect((await bundled(bob, original))?.['m.replace']?.event_id).toBe(second);
    await redact(alice, original);
    expect(await bundled(bob, original)).toBeUndefined();
    expect(ids(await pageOf(bob, `relations/${original}`))).toEqual([second]);
  });
});

describe('references', () => {
  it('are listed in order, without redacted ones and those of ignored users', async () => {
    const poll = await send(alice, {}, 'm.poll.start');
    const one = await relate(bob, 'm.reference', poll, {}, 'm.poll.response');
    const two = await relate(alice, 'm.reference', poll, {}, 'm.poll.response');
    const gone = await relate(alice, 'm.reference', poll, {}, 'm.poll.response');
    await redact(alice, gone);
    expect((await bundled(bob, poll))?.['m.reference']?.chunk).toEqual([{ event_id: one }, { event_id: two }]);
    await ignore(alice, bob);
    expect((await bundled(alice, poll))?.['m.reference']?.chunk).toEqual([{ event_id: two }]);
    await redact(alice, two);
    expect(await bundled(alice, poll)).toBeUndefined();
  });
});

describe('threads', () => {
  it('are summed up with their root', async () => {
    const root = await sayIn(alice, roomId, 'root');
    await relate(bob, 'm.thread', root);
    const last = await relate(bob, 'm.thread', root, { body: 'last' });
    await edit(bob, last, 'last, edited');
    const carol = await app.register('carol');
    await carol.ok('POST', `/join/${roomId}`);
    const thread = (await bundled(carol, root))?.['m.thread'];
    expect(thread).toMatchObject({
      count: 2,
      current_user_participated: false,
      latest_event: { event_id: last, room_id: roomId, content: { body: 'last' } },
    });
    expect(thread?.latest_event.unsigned?.['m.relations']?.['m.replace']?.content.body).toBe('* last, edited');
    expect((await bundled(alice, root))?.['m.thread']?.current_user_participated).toBe(true);
    expect((await bundled(bob, root))?.['m.thread']?.current_user_participated).toBe(true);
  });

  it('do without ignored users and redacted events', async () => {
    const root = await sayIn(alice, roomId, 'root');
    const first = await relate(alice, 'm.thread', root);
    const fromBob = await relate(bob, 'm.thread', root);
    await ignore(alice, bob);
    expect((await bundled(alice, root))?.['m.thread']).toMatchObject({ count: 1, latest_event: { event_id: first } });
    expect((await bundled(bob, root))?.['m.thread']).toMatchObject({ count: 2, latest_event: { event_id: fromBob } });
    await redact(bob, fromBob);
    expect((await bundled(bob, root))?.['m.thread']).toMatchObject({
      count: 1,
      latest_event: { event_id: first },
      current_user_participated: false,
    });
    await redact(alice, first);
    expect(await bundled(bob, root)).toBeUndefined();
    expect(ids(await pageOf(bob, 'threads'))).toEqual([]);
  });

  it('show those who have left nothing of what came after', async () => {
    const root = await sayIn(alice, roomId, 'root');
    const seen = await relate(alice, 'm.thread', root);
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    await relate(alice, 'm.thread', root, { body: 'behind your back' });
    expect((await bundled(bob, root))?.['m.thread']).toMatchObject({ count: 1, latest_event: { event_id: seen } });
    expect(ids(await pageOf(bob, `relations/${root}`))).toEqual([seen]);
  });

  it('cannot begin at an event that relates to another one', async () => {
    const root = await sayIn(alice, roomId, 'root');
    const inside = await relate(alice, 'm.thread', root);
    transactions += 1;
    const at = `/rooms/${roomId}/send/m.room.message/r${transactions}`;
    const refused = await alice.call('PUT', at, { 'm.relates_to': { rel_type: 'm.thread', event_id: inside } });
    expect([refused.status, refused.body.errcode]).toEqual([400, 'M_UNKNOWN']);
  });

  it('are listed by their latest event, page by page', async () => {
    const roots: string[] = [];
    for (let index = 0; index < 5; index += 1) roots.push(await sayIn(alice, roomId, `root ${index}`));
    for (const root of roots) await relate(alice, 'm.thread', root);
    await relate(bob, 'm.thread', roots[1] ?? '');
    const expected = [roots[1], roots[4], roots[3], roots[2], roots[0]];
    expect(ids(await pageOf(alice, 'threads'))).toEqual(expected);
    const first = await pageOf(alice, 'threads?limit=2');
    const second = await pageOf(alice, `threads?limit=2&from=${first.next_batch}`);
    const third = await pageOf(alice, `threads?limit=2&from=${second.next_batch}`);
    expect([first, second, third].flatMap(ids)).toEqual(expected);
    expect(third.next_batch).toBeUndefined();
    expect(first.chunk[0]?.unsigned?.['m.relations']?.['m.thread']?.count).toBe(2);
    expect(ids(await pageOf(bob, 'threads?include=participated'))).toEqual([roots[1]]);
  });

  it('of ignored users are listed without what their root says', async () => {
    const root = await sayIn(bob, roomId, 'secret');
    await relate(alice, 'm.thread', root);
    await ignore(alice, bob);
    const [shown] = (await pageOf(alice, 'threads')).chunk;
    expect(shown).toMatchObject({ event_id: root, content: {} });
    expect(shown?.content).toEqual({});
  });

  it('are for those who may see the room', async () => {
    const secret = await createRoom(alice);
    const { status } = await bob.call('GET', `/_matrix/client/v1/rooms/${secret}/threads`);
    expect(status).toBe(403);
    const wrong = await alice.call('GET', `/_matrix/client/v1/rooms/${roomId}/threads?from=x`);
    expect([wrong.status, wrong.body.errcode]).toEqual([400, 'M_INVALID_PARAM']);
  });
});

describe('relations', () => {
  it('are given by kind and type, both ways, page by page', async () => {
    const parent = await sayIn(alice, roomId, 'parent');
    const a = await react(alice, parent, 'a');
    const b = await relate(bob, 'm.thread', parent);
    const c = await react(bob, parent, 'b');
    const d = await relate(alice, 'com.example.kind', parent, {}, 'com.example.type');
    expect(ids(await pageOf(alice, `relations/${parent}`))).toEqual([d, c, b, a]);
    expect(ids(await pageOf(alice, `relations/${parent}?dir=f`))).toEqual([a, b, c, d]);
    expect(ids(await pageOf(alice, `relations/${parent}/m.annotation`))).toEqual([c, a]);
    expect(ids(await pageOf(alice, `relations/${parent}/com.example.kind/com.example.type`))).toEqual([d]);
    expect(ids(await pageOf(alice, `relations/${parent}/com.example.kind/m.room.message`))).toEqual([]);
    for (const dir of ['b', 'f']) {
      const first = await pageOf(alice, `relations/${parent}?dir=${dir}&limit=3`);
      const second = await pageOf(alice, `relations/${parent}?dir=${dir}&limit=3&from=${first.next_batch}`);
      const all = dir === 'b' ? [d, c, b, a] : [a, b, c, d];
      expect([...ids(first), ...ids(second)]).toEqual(all);
      expect(second.next_batch).toBeUndefined();
      expect(second.prev_batch).toBe(first.next_batch);
      const upTo = await pageOf(alice, `relations/${parent}?dir=${dir}&to=${first.next_batch}`);
      expect(ids(upTo)).toEqual(ids(first));
    }
  });

  it('begin where a sync token says', async () => {
    const parent = await sayIn(alice, roomId, 'parent');
    const before = await react(alice, parent, 'a');
    const { next_batch } = await sync(alice);
    const after = await react(alice, parent, 'b');
    expect(ids(await pageOf(alice, `relations/${parent}?from=${next_batch}`))).toEqual([before]);
    expect(ids(await pageOf(alice, `relations/${parent}?dir=f&from=${next_batch}`))).toEqual([after]);
  });

  it('of relations are followed where that is asked for', async () => {
    const root = await sayIn(alice, roomId, 'root');
    const inside = await relate(alice, 'm.thread', root);
    const reaction = await react(bob, inside, 'yes');
    const onReaction = await relate(bob, 'm.reference', reaction, {}, 'com.example');
    const tooDeep = await relate(bob, 'm.reference', onReaction, {}, 'com.example');
    const page = await pageOf(alice, `relations/${root}?recurse=true`);
    expect(ids(page)).toEqual([onReaction, reaction, inside]);
    expect(ids(page)).not.toContain(tooDeep);
    expect(page.recursion_depth).toBe(3);
    const plain = await pageOf(alice, `relations/${root}`);
    expect(ids(plain)).toEqual([inside]);
    expect(plain.recursion_depth).toBeUndefined();
    expect(ids(await pageOf(alice, `relations/${root}/m.thread?recurse=true`))).toEqual([inside]);
    const first = await pageOf(alice, `relations/${root}?recurse=true&limit=2`);
    expect(ids(await pageOf(alice, `relations/${root}?recurse=true&from=${first.next_batch}`))).toEqual([inside]);
  });

  it('to events of other rooms, or to what is no event, count for nothing', async () => {
    const other = await createRoom(alice);
    const parent = await sayIn(alice, other, 'elsewhere');
    await relate(alice, 'm.thread', parent);
    const shown = await alice.ok('GET', `/rooms/${other}/event/${parent}`);
    expect(shown).not.toHaveProperty('unsigned.m.relations');
    for (const content of [
      { 'm.relates_to': { rel_type: 'm.thread', event_id: '$'.padEnd(3000, 'x') } },
      { 'm.relates_to': { rel_type: 'x'.repeat(3000), event_id: parent } },
      { 'm.relates_to': { rel_type: 5, event_id: parent } },
      { 'm.relates_to': { rel_type: 'm.replace', event_id: parent }, 'm.new_content': 'text' },
      { 'm.relates_to': [] },
    ]) {
      await send(alice, content);
    }
    expect(await sayIn(alice, roomId, 'writing goes on')).toMatch(/^\$/);
  });

  it('are not told of events that the user may not see', async () => {
    const secret = await createRoom(alice);
    const hidden = await sayIn(alice, secret, 'hidden');
    const { status, body } = await bob.call('GET', `/_matrix/client/v1/rooms/${secret}/relations/${hidden}`);
    expect([status, body.errcode]).toEqual([404, 'M_NOT_FOUND']);
  });

  it('of ignored users are hidden', async () => {
    const parent = await sayIn(alice, roomId, 'parent');
    const own = await react(alice, parent, 'x');
    await react(bob, parent, 'x');
    await ignore(alice, bob);
    expect(ids(await pageOf(alice, `relations/${parent}`))).toEqual([own]);
  });
});

describe('reactions', () => {
  it('are taken once each, and again after a redaction', async () => {
    const parent = await sayIn(alice, roomId, 'parent');
    const first = await react(alice, parent, '👍');
    const body = { 'm.relates_to': { rel_type: 'm.annotation', event_id: parent, key: '👍' } };
    const again = await alice.call('PUT', `/rooms/${roomId}/send/m.reaction/again`, body);
    expect([again.status, again.body.errcode]).toEqual([400, 'M_DUPLICATE_ANNOTATION']);
    await react(alice, parent, '👎');
    await react(alice, parent, '👍', 'com.example.vote');
    await react(bob, parent, '👍');
    await redact(alice, first);
    await react(alice, parent, '👍');
  });

  it('sent again under their transaction are the same', async () => {
    const parent = await sayIn(alice, roomId, 'parent');
    const body = { 'm.relates_to': { rel_type: 'm.annotation', event_id: parent, key: '👍' } };
    const first = await alice.ok('PUT', `/rooms/${roomId}/send/m.reaction/same`, body);
    expect(await alice.ok('PUT', `/rooms/${roomId}/send/m.reaction/same`, body)).toEqual(first);
  });

  it('are not bundled', async () => {
    const parent = await sayIn(alice, roomId, 'parent');
    await react(alice, parent, '👍');
    expect(await bundled(alice, parent)).toBeUndefined();
  });
});

describe('where relations are bundled', () => {
  it('is in history and around events', async () => {
    const parent = await sayIn(alice, roomId, 'parent');
    const last = await edit(alice, parent, 'better');
    const { chunk } = (await alice.ok('GET', `/rooms/${roomId}/messages?dir=b&limit=5`)) as unknown as Page;
    const inHistory = chunk.find(({ event_id }) => event_id === parent);
    expect(inHistory?.unsigned?.['m.relations']?.['m.replace']?.event_id).toBe(last);
    const around = (await alice.ok('GET', `/rooms/${roomId}/context/${last}`)) as unknown as {
      events_before: readonly Related[];
    };
    expect(around.events_before[0]?.unsigned?.['m.relations']?.['m.replace']?.event_id).toBe(last);
  });

  it('is in a sync whose timeline is limited, for each as they see it', async () => {
    const parent = await sayIn(alice, roomId, 'parent');
    const { next_batch } = await sync(bob);
    await edit(alice, parent, 'better');
    const root = await sayIn(alice, roomId, 'root');
    await relate(bob, 'm.thread', root);
    const limited = { since: next_batch, filter: { room: { timeline: { limit: 2 } } } };
    const find = async (client: TestClient, parameters: object, id: string) => {
      const { rooms } = await sync(client, parameters);
      const shown = rooms?.join?.[roomId]?.timeline.events as readonly Related[] | undefined;
      return shown?.find(({ event_id }) => event_id === id);
    };
    expect((await find(bob, limited, root))?.unsigned?.['m.relations']?.['m.thread']?.count).toBe(1);
    expect((await find(bob, { since: next_batch }, root))?.unsigned).not.toHaveProperty('m.relations');
    await ignore(alice, bob);
    expect((await find(alice, limited, root))?.unsigned).not.toHaveProperty('m.relations');
  });
});

describe('redacted content', () => {
  it('is shown to those who may redact, and that is on record', async () => {
    const id = await sayIn(bob, roomId, 'regretted');
    await redact(bob, id);
    const at = `/rooms/${roomId}/event/${id}?fi.mau.msc2815.include_unredacted_content=true`;
    expect((await event(alice, id)).content).toEqual({});
    const shown = (await alice.ok('GET', at)) as unknown as Related;
    expect(shown.content.body).toBe('regretted');
    expect(shown.unsigned?.redacted_because?.type).toBe('m.room.redaction');
    const refused = await bob.call('GET', at);
    expect([refused.status, refused.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
    const reads = auditPage(app.engine.reader, { action: 'content.read' }, { limit: 10 }).entries;
    expect(reads).toMatchObject([{ actor: { kind: 'user' }, roomId }]);
  });

  it('is gone for everybody once its key is', async () => {
    const id = await sayIn(bob, roomId, 'regretted');
    const position = app.log.head();
    await redact(bob, id);
    await app.log.destroyKey(position, 1);
    const at = `/rooms/${roomId}/event/${id}?fi.mau.msc2815.include_unredacted_content=true`;
    const { status, body } = await alice.call('GET', at);
    expect([status, body.errcode]).toEqual([404, 'FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED']);
  });
});

describe('filters', () => {
  const history = async (client: TestClient, filter: object, dir = 'b') =>
    ids(
      (await client.ok(
        'GET',
        `/rooms/${roomId}/messages?dir=${dir}&limit=50&filter=${encodeURIComponent(JSON.stringify(filter))}`,
      )) as unknown as Page,
    );

  it('let events through to which others relate', async () => {
    const threaded = await sayIn(alice, roomId, 'threaded');
    const reacted = await sayIn(alice, roomId, 'reacted to');
    await sayIn(alice, roomId, 'left alone');
    await relate(bob, 'm.thread', threaded);
    await react(alice, threaded, 'x');
    await react(bob, reacted, 'x');
    expect(await history(alice, { related_by_rel_types: ['m.thread'] })).toEqual([threaded]);
    expect(await history(alice, { related_by_senders: [alice.userId] })).toEqual([threaded]);
    const byBob = { related_by_senders: [bob.userId], related_by_rel_types: ['m.annotation', 'm.thread'] };
    expect(await history(alice, byBob)).toEqual([reacted, threaded]);
    expect(await history(alice, byBob, 'f')).toEqual([threaded, reacted]);
    expect(await history(alice, { related_by_senders: [bob.userId], related_by_rel_types: ['m.replace'] })).toEqual([]);
    const timeline = { room: { timeline: { related_by_rel_types: ['m.thread'] } } };
    const { rooms } = await sync(alice, { filter: timeline });
    expect(rooms?.join?.[roomId]?.timeline.events.map(({ event_id }) => event_id)).toEqual([threaded]);
  });

  it('let events through that relate to others, or that do not', async () => {
    const plain = await sayIn(alice, roomId, 'plain');
    const inThread = await relate(bob, 'm.thread', plain);
    const reaction = await react(bob, plain, 'x');
    const onlyNew = { not_types: ['m.room.*'], types: ['*'] };
    expect(await history(alice, { 'org.matrix.msc3874.rel_types': ['m.thread'] })).toEqual([inThread]);
    expect(await history(alice, { ...onlyNew, 'org.matrix.msc3874.not_rel_types': ['m.thread'] })).toEqual([reaction]);
    const main = { types: ['m.room.message'], 'org.matrix.msc3874.not_rel_types': ['m.thread'] };
    expect(await history(alice, main)).toEqual([plain]);
  });
});
