/** Spaces and summaries: what people see of rooms before they are in them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication({ federation: { enabled: false } });
  [alice, bob] = [await app.register('alice'), await app.register('bob')];
});
afterAll(() => app.close());

interface Page {
  readonly rooms: readonly {
    readonly room_id: string;
    readonly children_state: readonly { readonly state_key: string }[];
  }[];
  readonly next_batch?: string;
}

const V1 = '/_matrix/client/v1';
const hierarchy = async (by: TestClient, roomId: string, query = ''): Promise<Page> =>
  (await by.ok('GET', `${V1}/rooms/${roomId}/hierarchy?${query}`)) as unknown as Page;
const ids = ({ rooms }: Page): string[] => rooms.map(({ room_id }) => room_id);

async function space(options: object = {}): Promise<string> {
  return createRoom(alice, { preset: 'public_chat', creation_content: { type: 'm.space' }, ...options });
}

async function link(parent: string, child: string, content: object = {}): Promise<void> {
  app.advance(1000);
  await alice.ok('PUT', `/rooms/${parent}/state/m.space.child/${child}`, { via: ['localhost'], ...content });
}

function withRule(content: object, version = '12'): object {
  return { room_version: version, initial_state: [{ type: 'm.room.join_rules', content }] };
}

describe('the hierarchy of a space', () => {
  it('shows the rooms depth first, in the order of the space, with what to know of them', async () => {
    const [top, sub] = [await space({ name: 'Top' }), await space({ name: 'Sub' })];
    const rooms = await Promise.all([1, 2, 3, 4, 5].map(() => createRoom(alice, { preset: 'public_chat' })));
    const [a, b, c, d, e] = rooms as [string, string, string, string, string];
    await link(top, a);
    await link(top, b, { order: 'zz' });
    await link(top, sub, { order: 'a' });
    await link(top, c, { order: 'é: not valid' });
    await link(sub, d);
    await link(sub, e, { order: '~' });
    await link(sub, top);
    await link(top, '!unknown:localhost');
    const page = await hierarchy(bob, top);
    expect(ids(page)).toEqual([top, sub, e, d, b, a, c]);
    expect(page.next_batch).toBeUndefined();
    expect(page.rooms[0]).toMatchObject({
      name: 'Top',
      room_type: 'm.space',
      join_rule: 'public',
      num_joined_members: 1,
      world_readable: false,
      guest_can_join: false,
      room_version: '12',
    });
    expect(page.rooms[0]?.children_state[0]).toEqual({
      type: 'm.space.child',
      state_key: sub,
      content: { via: ['localhost'], order: 'a' },
      sender: alice.userId,
      origin_server_ts: expect.any(Number),
    });
    expect(page.rooms[2]?.children_state).toEqual([]);
    await alice.ok('PUT', `/rooms/${top}/state/m.space.child/${sub}`, {});
    expect(ids(await hierarchy(bob, top))).toEqual([top, b, a, c]);
  });

  it('comes in pages that together are the whole, and a token is of one question', async () => {
    const top = await space();
    const rooms = await Promise.all(Array.from({ length: 7 }, () => createRoom(alice, { preset: 'public_chat' })));
    for (const room of rooms) await link(top, room);
    const whole = ids(await hierarchy(bob, top, 'max_depth=3'));
    expect(whole).toEqual([top, ...rooms]);
    const paged: string[] = [];
    let from = '';
    for (let pages = 0; pages < 4; pages += 1) {
      const page = await hierarchy(bob, top, `max_depth=3&limit=2&from=${from}`);
      paged.push(...ids(page));
      from = page.next_batch ?? '';
    }
    expect(paged).toEqual(whole);
    expect(from).toBe('');
    const { next_batch } = await hierarchy(bob, top, 'max_depth=3&limit=2');
    for (const query of [
      `from=${next_batch}&max_depth=4`,
      `from=${next_batch}&suggested_only=true`,
      'from=made-up',
      'limit=0',
      'max_depth=-1',
      'suggested_only=perhaps',
    ]) {
      const { status, body } = await bob.call('GET', `${V1}/rooms/${top}/hierarchy?${query}`);
      expect([query, status, body.errcode]).toEqual([query, 400, 'M_INVALID_PARAM']);
    }
  });

  it('goes as deep as is wished, to suggested rooms only where that is wished', async () => {
    const [top, middle, bottom] = [await space(), await space(), await space()];
    await link(top, middle, { suggested: true });
    await link(middle, bottom, { suggested: true });
    const plain = await createRoom(alice, { preset: 'public_chat' });
    await link(top, plain);
    expect(ids(await hierarchy(bob, top, 'max_depth=0'))).toEqual([top]);
    expect(ids(await hierarchy(bob, top, 'max_depth=1'))).toEqual([top, middle, plain]);
    const suggested = await hierarchy(bob, top, 'suggested_only=true');
    expect(ids(suggested)).toEqual([top, middle, bottom]);
    expect(suggested.rooms[0]?.children_state).toHaveLength(1);
  });

  it('shows each room only to those who may know of it', async () => {
    const top = await space();
    const club = await createRoom(alice);
    const allow = [{ type: 'm.room_membership', room_id: club }];
    const visible = {
      open: await createRoom(alice, { preset: 'public_chat' }),
      knock: await createRoom(alice, withRule({ join_rule: 'knock' })),
      either: await createRoom(alice, withRule({ join_rule: 'knock_restricted', allow })),
      invited: await createRoom(alice, { invite: [bob.userId] }),
      readable: await createRoom(alice, {
        initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }],
      }),
    };
    const hidden = {
      closed: await createRoom(alice),
      restricted: await createRoom(alice, withRule({ join_rule: 'restricted', allow })),
      notYetKnock: await createRoom(alice, withRule({ join_rule: 'knock' }, '6')),
      banned: await createRoom(alice, { preset: 'public_chat' }),
    };
    await alice.ok('POST', `/rooms/${hidden.banned}/ban`, { user_id: bob.userId });
    for (const room of [...Object.values(visible), ...Object.values(hidden)]) await link(top, room);
    expect(
      ids(await hierarchy(bob, top))
        .slice(1)
        .sort(),
    ).toEqual(Object.values(visible).sort());
    await alice.ok('POST', `/rooms/${club}/invite`, { user_id: bob.userId });
    await bob.ok('POST', `/join/${club}`);
    const page = await hierarchy(bob, top);
    expect(ids(page)).toContain(hidden.restricted);
    expect(page.rooms.find(({ room_id }) => room_id === hidden.restricted)).toMatchObject({ allowed_room_ids: [club] });
    expect(ids(await hierarchy(alice, top))).toHaveLength(10);
  });

  it('is not shown of rooms that the user may not look into, nor of none', async () => {
    const closed = await createRoom(alice, { creation_content: { type: 'm.space' } });
    for (const roomId of [closed, '!nowhere:localhost']) {
      const { status, body } = await bob.call('GET', `${V1}/rooms/${roomId}/hierarchy`);
      expect([status, body.errcode]).toEqual([403, 'M_FORBIDDEN']);
    }
  });

  it('a large space is walked in pages, and rooms that link to each other do not make it endless', async () => {
    const spaces = await Promise.all(Array.from({ length: 12 }, () => space()));
    for (const parent of spaces) for (const child of spaces) await link(parent, child);
    const [top = ''] = spaces;
    expect(new Set(ids(await hierarchy(bob, top)))).toEqual(new Set(spaces));
  });
});

describe('the summary of a room', () => {
  const summary = (by: TestClient | undefined, room: string) =>
    request(app.http, 'GET', `${V1}/room_summary/${encodeURIComponent(room)}`, undefined, by?.accessToken);

  it('tells what there is to know, by id and by alias, to anybody where anybody may join', async () => {
    const room = await createRoom(alice, {
      preset: 'public_chat',
      name: 'Henge',
      room_alias_name: 'henge',
      initial_state: [{ type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    });
    const known = {
      room_id: room,
      name: 'Henge',
      join_rule: 'public',
      canonical_alias: '#henge:localhost',
      encryption: 'm.megolm.v1.aes-sha2',
      room_version: '12',
      num_joined_members: 1,
    };
    for (const at of [room, '#henge:localhost']) {
      expect((await summary(undefined, at)).body).toMatchObject(known);
      expect((await summary(bob, at)).body).toMatchObject(known);
    }
    expect((await summary(undefined, room)).body['membership']).toBeUndefined();
    expect((await summary(alice, room)).body['membership']).toBe('join');
    expect(await bob.ok('GET', `/_matrix/client/unstable/im.nheko.summary/summary/${room}`)).toMatchObject(known);
  });

  it('is for nobody else where the room is closed', async () => {
    const room = await createRoom(alice, { invite: [bob.userId] });
    expect((await summary(bob, room)).body).toMatchObject({ membership: 'invite', join_rule: 'invite' });
    const carol = await app.register('carol');
    for (const by of [undefined, carol]) {
      expect(await summary(by, room)).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } });
    }
    expect(await summary(alice, '!nowhere:localhost')).toMatchObject({ status: 404 });
    expect(await summary(alice, '#nowhere:localhost')).toMatchObject({ status: 404 });
    expect((await summary(alice, 'nonsense')).body.errcode).toBe('M_INVALID_PARAM');
  });
});
