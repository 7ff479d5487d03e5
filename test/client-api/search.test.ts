import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Block } from '#projections/search/block.ts';
import { blocks, tails } from '#projections/search/tables.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, type EventAnswer, sayIn } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterEach(() => app.close());

interface Result {
  readonly rank: number;
  readonly result: EventAnswer & { readonly room_id: string };
  readonly context?: {
    readonly start: string;
    readonly end: string;
    readonly events_before: readonly EventAnswer[];
    readonly events_after: readonly EventAnswer[];
    readonly profile_info?: Record<string, { displayname?: string }>;
  };
}

interface Found {
  readonly count: number;
  readonly highlights: readonly string[];
  readonly results: readonly Result[];
  readonly next_batch?: string;
  readonly state?: Record<string, readonly EventAnswer[]>;
  readonly groups?: Record<string, Record<string, { results: string[]; order: number; next_batch?: string }>>;
}

async function find(client: TestClient, search_term: string, criteria: object = {}, from?: string): Promise<Found> {
  const query = from === undefined ? '' : `?next_batch=${from}`;
  const body = await client.ok('POST', `/search${query}`, {
    search_categories: { room_events: { search_term, order_by: 'recent', ...criteria } },
  });
  return (body.search_categories as unknown as { room_events: Found }).room_events;
}

const idsOf = ({ results }: Found) => results.map(({ result }) => result.event_id);
const bodiesOf = ({ results }: Found) => results.map(({ result }) => result.content.body);

async function redact(client: TestClient, roomId: string, id: string): Promise<void> {
  await client.ok('PUT', `/rooms/${roomId}/redact/${id}/${id.slice(1, 9)}`, {});
}

describe('a search', () => {
  it.each([
    ['martians', 'Men and MARTIANS, met', 'martians'],
    ['beginnings of the last word', 'the philosopher spoke', 'the philo'],
    ['German', 'Die Straße war GROẞ', 'strasse gross'],
    ['accents', 'Crème brûlée', 'creme brulee'],
    ['Chinese', '我爱北京天安门', '天安门'],
    ['Japanese', '東京で会いましょう', '東京'],
    ['Thai', 'ฉันชอบภาษาไทยมาก', 'ภาษา'],
    ['Arabic', 'أحب اللُّغَةَ العَرَبِيَّة', 'العربية'],
  ])('finds %s', async (_, body, term) => {
    const roomId = await createRoom(alice);
    const id = await sayIn(alice, roomId, body);
    await sayIn(alice, roomId, 'something else');
    const found = await find(alice, term);
    expect(idsOf(found)).toEqual([id]);
    expect(found).toMatchObject({ count: 1, results: [{ result: { room_id: roomId, content: { body } } }] });
    expect(found.next_batch).toBeUndefined();
  });

  it('wants all words, and says which to mark', async () => {
    const roomId = await createRoom(alice);
    await sayIn(alice, roomId, 'red apple');
    const both = await sayIn(alice, roomId, 'a Red, Ápple pie');
    await sayIn(alice, roomId, 'apple pies');
    const found = await find(alice, 'apple red pi');
    expect(idsOf(found)).toEqual([both]);
    expect(found.highlights).toEqual(['red', 'ápple', 'pie']);
    expect(idsOf(await find(alice, '!!! …'))).toEqual([]);
    expect(idsOf(await find(alice, 'nowhere'))).toEqual([]);
  });

  it('looks into names and topics too, or only into what it is told to', async () => {
    const roomId = await createRoom(alice, { name: 'Sunflower club', topic: 'all about sunflowers' });
    const message = await sayIn(alice, roomId, 'sunflower seeds');
    const found = await find(alice, 'sunflow');
    expect(found.results.map(({ result }) => result.type).sort()).toEqual([
      'm.room.message',
      'm.room.name',
      'm.room.topic',
    ]);
    expect(idsOf(await find(alice, 'sunflow', { keys: ['content.body'] }))).toEqual([message]);
    const names = await find(alice, 'sunflow', { keys: ['content.name'] });
    expect(names.results.map(({ result }) => result.type)).toEqual(['m.room.name']);
  });

  it('gives the best or the latest first', async () => {
    const roomId = await createRoom(alice);
    const short = await sayIn(alice, roomId, 'kiwi');
    const long = await sayIn(alice, roomId, `a kiwi ${'and many other words '.repeat(5)}`);
    const often = await sayIn(alice, roomId, 'kiwi kiwi kiwi');
    app.advance(5000);
    const begun = await sayIn(alice, roomId, 'kiwifruit');
    const best = await find(alice, 'kiwi', { order_by: 'rank' });
    expect(idsOf(best)).toEqual([often, short, begun, long]);
    expect(best.results.map(({ rank }) => rank)).toEqual(best.results.map(({ rank }) => rank).sort((a, b) => b - a));
    expect(idsOf(await find(alice, 'kiwi'))).toEqual([begun, often, long, short]);
  });

  it.each(['recent', 'rank'])('is paged through in order of %s without gap or repeat', async (order_by) => {
    const roomId = await createRoom(alice);
    const said: string[] = [];
    for (let index = 0; index < 45; index += 1) said.push(await sayIn(alice, roomId, `plum number ${index}`));
    const found: string[] = [];
    let from: string | undefined;
    do {
      const page = await find(alice, 'plum', { order_by, filter: { limit: 7 } }, from);
      found.push(...idsOf(page));
      expect(page.count).toBeGreaterThanOrEqual(45);
      // What is said meanwhile does not move what follows.
      if (from === undefined) await sayIn(alice, roomId, 'plum as well');
      from = page.next_batch;
    } while (from !== undefined);
    expect(new Set(found)).toEqual(new Set(said));
    expect(found.length).toBe(45);
  });

  it('can be filtered', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    const other = await createRoom(alice);
    await bob.ok('POST', `/join/${roomId}`);
    const mine = await sayIn(alice, roomId, 'fig');
    const his = await sayIn(bob, roomId, 'fig');
    const elsewhere = await sayIn(alice, other, 'fig');
    expect(idsOf(await find(alice, 'fig', { filter: { senders: [bob.userId] } }))).toEqual([his]);
    expect(idsOf(await find(alice, 'fig', { filter: { rooms: [other] } }))).toEqual([elsewhere]);
    expect(idsOf(await find(alice, 'fig', { filter: { not_rooms: [other], not_senders: [bob.userId] } }))).toEqual([
      mine,
    ]);
    expect(idsOf(await find(alice, 'fig', { filter: { types: [] } }))).toEqual([]);
  });

  it('goes back through upgrades of a room', async () => {
    const old = await createRoom(alice);
    const before = await sayIn(alice, old, 'melon');
    const next = await createRoom(alice, { creation_content: { predecessor: { room_id: old, event_id: before } } });
    const after = await sayIn(alice, next, 'melon');
    const last = await createRoom(alice, { creation_content: { predecessor: { room_id: next, event_id: after } } });
    expect(idsOf(await find(alice, 'melon', { filter: { rooms: [last] } }))).toEqual([after, before]);
    const foreign = await createRoom(bob, { creation_content: { predecessor: { room_id: old, event_id: before } } });
    expect(idsOf(await find(bob, 'melon', { filter: { rooms: [foreign] } }))).toEqual([]);
  });

  it('shows what was said around each result, and by whom', async () => {
    await alice.ok('PUT', `/profile/${alice.userId}/displayname`, { displayname: 'Alice' });
    const roomId = await createRoom(alice);
    const before = await sayIn(alice, roomId, 'before');
    await sayIn(alice, roomId, 'quince');
    const after = await sayIn(alice, roomId, 'after');
    await alice.ok('PUT', `/profile/${alice.userId}/displayname`, { displayname: 'Alicia' });
    const event_context = { before_limit: 1, after_limit: 1, include_profile: true };
    const [first] = (await find(alice, 'quince', { event_context })).results;
    expect(first?.context?.events_before.map(({ event_id }) => event_id)).toEqual([before]);
    expect(first?.context?.events_after.map(({ event_id }) => event_id)).toEqual([after]);
    expect(first?.context?.profile_info).toEqual({ [alice.userId]: { displayname: 'Alice' } });
    const older = await alice.ok('GET', `/rooms/${roomId}/messages?dir=f&limit=1&from=${first?.context?.end}`);
    expect(older.chunk).toMatchObject([{ type: 'm.room.member' }]);
    const usual = (await find(alice, 'quince', { event_context: {} })).results[0]?.context;
    expect([usual?.events_before.length, usual?.events_after.length]).toEqual([5, 2]);
  });

  it('groups by room and sender, each of which goes on by itself', async () => {
    const one = await createRoom(alice, { preset: 'public_chat' });
    const two = await createRoom(alice);
    await bob.ok('POST', `/join/${one}`);
    const first = await sayIn(alice, one, 'lime');
    const second = await sayIn(bob, one, 'lime');
    const third = await sayIn(alice, two, 'lime');
    const groupings = { group_by: [{ key: 'room_id' }, { key: 'sender' }] };
    const all = await find(alice, 'lime', { groupings });
    expect(all.groups?.room_id).toEqual({
      [two]: { order: 1, results: [third] },
      [one]: { order: 2, results: [second, first] },
    });
    expect(all.groups?.sender?.[bob.userId]?.results).toEqual([second]);
    const limited = await find(alice, 'lime', { groupings, filter: { limit: 2 } });
    expect(limited.groups?.room_id?.[two]?.next_batch).toBeUndefined();
    const next = await find(alice, 'lime', { groupings }, limited.groups?.room_id?.[one]?.next_batch);
    expect(idsOf(next)).toEqual([first]);
  });

  it('brings the state of the rooms', async () => {
    const roomId = await createRoom(alice, { name: 'Orchard' });
    await sayIn(alice, roomId, 'pear');
    const { state } = await find(alice, 'pear', { include_state: true });
    expect(state?.[roomId]?.find(({ type }) => type === 'm.room.name')?.content).toEqual({ name: 'Orchard' });
  });

  it('finds what was said through many blocks of the index', async () => {
    const roomId = await createRoom(alice);
    const ids: string[] = [];
    for (let index = 0; index < 232; index += 1) ids.push(await sayIn(alice, roomId, `grape${index} berry`));
    const index = await app.context.search.readerAt(app.context.reader.frontier);
    expect([...index.keys(blocks)].map(([, level]) => level)).toEqual([0, 1]);
    expect(idsOf(await find(alice, 'grape0'))).toEqual([ids[0]]);
    expect(idsOf(await find(alice, 'grape191'))).toEqual([ids[191]]);
    expect(idsOf(await find(alice, 'grape231'))).toEqual([ids[231]]);
    expect((await find(alice, 'berry')).count).toBe(232);
  });
});

describe('what is not found', () => {
  it('is of rooms that the user was never in', async () => {
    const secret = await createRoom(alice);
    await sayIn(alice, secret, 'raspberry');
    await alice.ok('POST', `/rooms/${secret}/invite`, { user_id: bob.userId });
    expect(await find(bob, 'raspberry')).toMatchObject({ count: 0, results: [] });
  });

  it('was said after the user left, or before they came where that is hidden', async () => {
    const hidden = { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } };
    const roomId = await createRoom(alice, { preset: 'public_chat', initial_state: [hidden] });
    await sayIn(alice, roomId, 'cherry early');
    await bob.ok('POST', `/join/${roomId}`);
    await sayIn(alice, roomId, 'cherry in time');
    await bob.ok('POST', `/rooms/${roomId}/leave`);
    await sayIn(alice, roomId, 'cherry late');
    const found = await find(bob, 'cherry');
    expect([bodiesOf(found), found.count]).toEqual([['cherry in time'], 1]);
    await bob.ok('POST', `/rooms/${roomId}/forget`);
    expect(bodiesOf(await find(bob, 'cherry'))).toEqual([]);
  });

  it('was said by ignored users', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    await sayIn(bob, roomId, 'lemon');
    await alice.ok('PUT', `/user/${alice.userId}/account_data/m.ignored_user_list`, {
      ignored_users: { [bob.userId]: {} },
    });
    expect(bodiesOf(await find(alice, 'lemon'))).toEqual([]);
  });

  it('was redacted, and the index does not have its words any more', async () => {
    const roomId = await createRoom(alice);
    const inTail = await sayIn(alice, roomId, 'embarrassing');
    await redact(alice, roomId, inTail);
    const packed = await sayIn(alice, roomId, 'mortifying');
    for (let index = 0; index < 40; index += 1) await sayIn(alice, roomId, `filler ${index}`);
    await redact(alice, roomId, packed);
    expect(bodiesOf(await find(alice, 'embarrassing'))).toEqual([]);
    expect(bodiesOf(await find(alice, 'mortifying'))).toEqual([]);
    const index = await app.context.search.readerAt(app.context.reader.frontier);
    const rest = [...index.range(tails), ...index.range(blocks)].map(({ value }) => value.toString('latin1')).join();
    expect(rest).not.toMatch(/embarrassing|mortifying/);
    const words = [...index.range(blocks)]
      .flatMap(({ value }) => new Block(value).documents())
      .flatMap((one) => [...one.words.keys()]);
    expect(words).toContain('filler');
    expect(words).not.toContain('mortifying');
  });

  it('was said by somebody who wished to be forgotten, before the user came', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' });
    await bob.ok('POST', `/join/${roomId}`);
    await sayIn(bob, roomId, 'blackcurrant');
    const carol = await app.register('carol');
    await carol.ok('POST', `/join/${roomId}`);
    expect((await find(carol, 'blackcurrant')).results.length).toBe(1);
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' } };
    const password = 'correct horse battery staple';
    await bob.ok('POST', '/account/deactivate', { auth: { ...auth, password }, erase: true });
    expect(await find(carol, 'blackcurrant')).toMatchObject({ count: 0, results: [] });
    expect((await find(alice, 'blackcurrant')).results.length).toBe(1);
  });

  it('is of encrypted rooms, also what was said before', async () => {
    const roomId = await createRoom(alice);
    await sayIn(alice, roomId, 'apricot');
    expect((await find(alice, 'apricot')).count).toBe(1);
    await alice.ok('PUT', `/rooms/${roomId}/state/m.room.encryption`, { algorithm: 'm.megolm.v1.aes-sha2' });
    await sayIn(alice, roomId, 'apricot again');
    expect(await find(alice, 'apricot')).toMatchObject({ count: 0, results: [] });
  });
});

describe('a search that makes no sense', () => {
  it.each([
    [{ search_categories: { room_events: {} } }, 'M_MISSING_PARAM'],
    [{}, 'M_MISSING_PARAM'],
    [{ search_categories: { room_events: { search_term: 'a', order_by: 'size' } } }, 'M_BAD_JSON'],
    [{ search_categories: { room_events: { search_term: 'a', keys: ['content.secret'] } } }, 'M_BAD_JSON'],
    [{ search_categories: { room_events: { search_term: 5 } } }, 'M_BAD_JSON'],
  ])('as %j is refused', async (body, errcode) => {
    const answer = await alice.call('POST', '/search', body);
    expect([answer.status, answer.body.errcode]).toEqual([400, errcode]);
  });

  it('goes on at no token of others', async () => {
    for (const token of ['x', 'W10', Buffer.from('[1,2,3,"room",""]').toString('base64url'), 'a'.repeat(5000)]) {
      const answer = await alice.call('POST', `/search?next_batch=${token}`, {
        search_categories: { room_events: { search_term: 'a' } },
      });
      expect([answer.status, answer.body.errcode]).toEqual([400, 'M_INVALID_PARAM']);
    }
  });

  it('asks for nothing', async () => {
    expect(await alice.ok('POST', '/search', { search_categories: {} })).toEqual({ search_categories: {} });
  });
});
