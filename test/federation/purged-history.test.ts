/** History that an administrator purged to make room, and that another server of the room has still. */
import { afterEach, describe, expect, it } from 'vitest';
import { destroyedBy } from '#projections/compliance/queries.ts';
import { eventAt, positionOfEvent } from '#projections/rooms/queries.ts';
import { type EventAnswer, sync } from '#test/client-api/sync-client.ts';
import { differences, say } from '#test/compliance/support.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const PATIENCE = { timeout: 30_000 };

const running: TestServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

/** Alice of one.test, and Bob of two.test, who have said something each, and somebody who may purge it at one.test. */
async function talked(settings: object = {}) {
  const network = new TestNetwork();
  const [one, two] = [
    await startServerOn(network, 'one.test', { ...settings }),
    await startServerOn(network, 'two.test'),
  ];
  running.push(one, two);
  const [alice, admin, bob] = [await one.register('alice'), await one.register('root'), await two.register('bob')];
  await one.context.accounts.setAdmin(admin.userId, true);
  const roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
  const at = (rest: string): string => `/rooms/${encodeURIComponent(roomId)}${rest}`;
  const isAt = (server: TestServer, eventId: string) => () =>
    positionOfEvent(server.engine.reader, eventId) !== undefined;
  const talk = async (who: TestClient, body: string): Promise<string> => {
    const eventId = await say(who, roomId, body);
    for (const server of [one, two]) await expect.poll(isAt(server, eventId), PATIENCE).toBe(true);
    return eventId;
  };
  const said = [await talk(alice, 'first'), await talk(bob, 'second')];
  await alice.ok('PUT', at('/state/m.room.topic'), { topic: 'in between' });
  said.push(await talk(alice, 'third'), await talk(bob, 'fourth'));
  const last = await talk(alice, 'last');
  const purge = async (): Promise<void> => {
    await admin.ok('POST', `/_synapse/admin/v1/purge_history/${roomId}/${encodeURIComponent(last)}`, {});
    await one.context.tasks.settled();
  };
  const shown = async (): Promise<string[]> => {
    const { chunk } = (await alice.ok('GET', at('/messages?dir=b&limit=100'))) as unknown as { chunk: EventAnswer[] };
    return chunk.flatMap(({ content }) => (typeof content['body'] === 'string' ? [content['body']] : [])).reverse();
  };
  return { network, one, two, alice, bob, admin, roomId, at, said, last, purge, shown, talk };
}

const ALL = ['first', 'second', 'third', 'fourth', 'last'];

describe('history that was purged to make room', () => {
  it('is asked for again when somebody looks, and is on record anew', async () => {
    const { one, alice, at, roomId, said, purge, shown } = await talked();
    const before = said.map((eventId) => positionOfEvent(one.engine.reader, eventId) ?? -1);
    await purge();
    const synced = (await sync(alice)).rooms?.join?.[roomId];
    expect(synced?.timeline.events.map(({ content }) => content['body'])).toEqual(['last']);
    expect(await shown()).toEqual(ALL);
    const { chunk } = (await alice.ok('GET', at('/messages?dir=b&limit=100'))) as unknown as { chunk: EventAnswer[] };
    expect(chunk.map(({ type }) => type)).toEqual(expect.arrayContaining(['m.room.member', 'm.room.topic']));
    for (const [index, eventId] of said.entries()) {
      const position = before[index] ?? -1;
      const now = positionOfEvent(one.engine.reader, eventId) ?? -1;
      expect(now).toBeGreaterThan(position);
      expect(eventAt(one.engine.reader, now)?.contentJson).toContain(ALL[index]);
      // What was destroyed stays so.
      expect(destroyedBy(one.engine.reader, position)).toBeDefined();
      expect((await one.log.readAt(position))?.sections[1]).toBeNull();
    }
    expect(await differences(one)).toEqual([]);
    // It is nothing new to anybody.
    const since = (await sync(alice)).next_batch;
    expect((await sync(alice, { since })).rooms?.join).toBeUndefined();
  });

  it('can be purged and fetched any number of times', async () => {
    const { one, said, purge, shown } = await talked();
    for (let times = 0; times < 2; times += 1) {
      await purge();
      expect(await shown()).toEqual(ALL);
    }
    await purge();
    const { reader } = one.engine;
    for (const eventId of said) expect(eventAt(reader, positionOfEvent(reader, eventId) ?? -1)?.contentJson).toBe('{}');
    expect(await differences(one)).toEqual([]);
  });

  it('stays away while nobody has it', async () => {
    const { network, purge, shown } = await talked();
    await purge();
    network.cutOff('two.test');
    expect(await shown()).toEqual(['last']);
  });

  it('stays away where messages of the room expire', async () => {
    const { one, alice, at, purge, shown } = await talked();
    await alice.ok('PUT', at('/state/m.room.retention'), { max_lifetime: 30 * 86_400_000 });
    await purge();
    const frontier = one.log.head();
    expect(await shown()).toEqual(['last']);
    expect(one.log.head()).toBe(frontier);
  });

  it('stays away where it was redacted, or is of somebody who was erased', async () => {
    const { one, alice, bob, at, said, purge } = await talked();
    const fourth = said.at(-1) ?? '';
    const { event_id: redaction } = await bob.ok('PUT', at(`/redact/${encodeURIComponent(fourth)}/r`), {});
    const isHere = (): boolean => positionOfEvent(one.engine.reader, String(redaction)) !== undefined;
    await expect.poll(isHere, PATIENCE).toBe(true);
    await purge();
    const { erasures } = one.context.compliance;
    const wanted = { userId: alice.userId, by: '@root:one.test', reason: null, caseId: null, asksPeers: false };
    await erasures.request(wanted);
    const carol = await one.register('carol');
    await carol.ok('POST', `/join/${at('').slice('/rooms/'.length)}`, {});
    const { chunk } = (await carol.ok('GET', at('/messages?dir=b&limit=100'))) as unknown as { chunk: EventAnswer[] };
    const bodies = chunk.flatMap(({ content }) => (typeof content['body'] === 'string' ? [content['body']] : []));
    expect(bodies).toContain('second');
    for (const body of ['first', 'third', 'fourth']) expect(bodies).not.toContain(body);
  });
});
