import { expect, it } from 'vitest';
import type { JsonObject } from '#protocol/pdu.ts';
import { FederationError } from '#src/federation/errors.ts';
import { RemoteSpaces, remoteSummary } from './remote-spaces.ts';

const SPACE = '!space:a.org';
const ROOM = {
  room_id: SPACE,
  num_joined_members: 3,
  world_readable: true,
  guest_can_join: false,
  room_type: 'm.space',
};
const LINK = {
  type: 'm.space.child',
  state_key: '!child:a.org',
  content: { via: ['a.org'] },
  sender: '@a:a.org',
  origin_server_ts: 1,
};

/** Other servers with fixed answers, a clock, and the list of those that were asked. */
function world(answers: Record<string, JsonObject>) {
  const asked: string[] = [];
  const time = { nowMs: 0 };
  const spaces = new RemoteSpaces({
    serverName: 'us.org',
    clock: () => time.nowMs,
    client: {
      request: async ({ destination, path }) => {
        asked.push(`${destination} ${path}`);
        const answer = answers[destination];
        if (answer === undefined) throw new FederationError('unreachable', destination, 'it is not there');
        return answer;
      },
    },
  });
  return { spaces, asked, time };
}

it('asks one server after the other, never itself, and remembers the answer for a while', async () => {
  const { spaces, asked, time } = world({ 'b.org': { room: { ...ROOM, children_state: [LINK] }, children: [] } });
  const room = await spaces.room(SPACE, ['us.org', 'a.org', 'b.org', 'c.org'], false);
  expect(room).toMatchObject({ summary: ROOM, links: [LINK] });
  const path = `/_matrix/federation/v1/hierarchy/${encodeURIComponent(SPACE)}?suggested_only=false`;
  expect(asked).toEqual([`a.org ${path}`, `b.org ${path}`]);
  await spaces.room(SPACE, ['b.org'], false);
  expect(asked).toHaveLength(2);
  await spaces.room(SPACE, ['b.org'], true);
  expect(asked).toHaveLength(3);
  time.nowMs = 6 * 60_000;
  await spaces.room(SPACE, ['b.org'], false);
  expect(asked).toHaveLength(4);
});

it('asks once for those who ask at the same time, and gives up after a few servers', async () => {
  const { spaces, asked } = world({});
  const both = [spaces.room(SPACE, ['a.org', 'b.org', 'c.org', 'd.org'], false), spaces.room(SPACE, ['e.org'], false)];
  expect(await Promise.all(both)).toEqual([undefined, undefined]);
  expect(asked).toHaveLength(3);
});

it('takes nothing from an answer that is not what was asked for', async () => {
  const { spaces } = world({
    'a.org': { room: { ...ROOM, room_id: '!other:a.org', children_state: [] }, children: [] },
    'b.org': { room: 'none' },
    'c.org': {
      room: { ...ROOM, name: 7, children_state: [LINK, { ...LINK, content: {} }, 'none', { ...LINK, sender: 1 }] },
      children: [{ room_id: 'none' }, { room_id: '!child:a.org', num_joined_members: -1, topic: 't', evil: '<b>' }],
      inaccessible_children: ['!secret:a.org', 5],
    },
  });
  const room = await spaces.room(SPACE, ['a.org', 'b.org', 'c.org'], false);
  expect(room?.summary).toEqual(ROOM);
  expect(room?.links).toEqual([LINK]);
  expect([...(room?.children.values() ?? [])]).toEqual([
    { room_id: '!child:a.org', topic: 't', num_joined_members: 0, world_readable: false, guest_can_join: false },
  ]);
  expect([...(room?.inaccessible ?? [])]).toEqual(['!secret:a.org']);
});

it.each([null, 'text', {}, { room_id: '@a:b' }, { room_id: 5 }])('%j is no summary', (given) => {
  expect(remoteSummary(given)).toBeUndefined();
});
