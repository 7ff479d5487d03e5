/**
 * Random sequences of what people and operators do: sends, edits, redactions, uploads, holds, releases, erasures, retention runs,
 * purges, and crashes between a decision and its end. Whatever the order, no hold is broken, what was to go is in no file, the tables
 * are what a replay gives, and no leaf of the log changes.
 */
import { expect, it } from 'vitest';
import { unfinishedDestructions } from '#projections/compliance/queries.ts';
import { positionOfEvent } from '#projections/rooms/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { differences, filesWith, makeRoom, say, upload } from './support.ts';

const DAY = 86_400_000;
const STEPS = 40;
const SEEDS = [1, 2, 3, 4, 5, 6];
const CASE = { caseId: 'C', reason: 'R', by: 'operator:lawyer' };

/** The same numbers for the same seed. Source: mulberry32, public domain. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

interface Message {
  readonly sender: TestClient;
  readonly roomId: string;
  readonly eventId: string;
  /** Found in no other text. */
  readonly mark: string;
  readonly atMs: number;
}

async function leavesOf(app: TestApplication): Promise<string[]> {
  const leaves: string[] = [];
  for await (const batch of app.log.readLeaves(-1)) for (const leaf of batch) leaves.push(leaf.toString('hex'));
  return leaves;
}

it.each(SEEDS)('with seed %i', { timeout: 240_000 }, async (seed) => {
  const random = randomOf(seed);
  const app = await startApplication({ retention: { classes: { messages: { max: '20d' } } } });
  try {
    const users = [await app.register('ann'), await app.register('bob'), await app.register('carl')];
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
    const [owner] = users;
    if (owner === undefined) throw new Error('nobody is there');
    const rooms = [await makeRoom(owner), await makeRoom(owner)];
    for (const user of users)
      for (const roomId of rooms) await user.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
    const messages: Message[] = [];
    const erased = new Set<string>();
    const held = new Map<string, string>();
    const { holds, erasures, retention, purges, destruction } = app.context.compliance;
    let leaves: string[] = [];
    /** Records that could be read when a hold on their sender was set. */
    const kept = new Map<string, number[]>();
    const isReadable = async (position: number): Promise<boolean> =>
      (await app.log.readAt(position))?.sections[1] !== null;
    const active = (): TestClient[] => users.filter(({ userId }) => !erased.has(userId));

    const steps: (() => Promise<void>)[] = [
      async () => {
        const sender = pick(active());
        const roomId = pick(rooms);
        const mark = `mark-${seed}-${messages.length}-${random(1e9)}.`;
        const eventId = await say(sender, roomId, mark);
        messages.push({ sender, roomId, eventId, mark, atMs: app.now() });
      },
      async () => {
        const of = messages.filter(({ sender }) => !erased.has(sender.userId));
        if (of.length === 0) return;
        const { sender, roomId, eventId } = pick(of);
        const mark = `mark-${seed}-${messages.length}-${random(1e9)}.`;
        const at = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${random(1e9)}`;
        const answer = await sender.call('PUT', at, {
          msgtype: 'm.text',
          body: mark,
          'm.new_content': { msgtype: 'm.text', body: mark },
          'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
        });
        if (answer.status === 200) {
          messages.push({ sender, roomId, eventId: String(answer.body['event_id']), mark, atMs: app.now() });
        }
      },
      async () => {
        const of = messages.filter(({ sender }) => !erased.has(sender.userId));
        if (of.length === 0) return;
        const { sender, roomId, eventId } = pick(of);
        await sender.ok(
          'PUT',
          `/rooms/${encodeURIComponent(roomId)}/redact/${encodeURIComponent(eventId)}/${random(1e9)}`,
          {},
        );
      },
      async () => {
        const user = pick(active());
        await user.ok('PUT', `/profile/${user.userId}/displayname`, { displayname: `name ${random(1e9)}` });
        await upload(app, user, `file ${random(1e9)}`);
      },
      async () => {
        const userId = pick(users).userId;
        if (held.size === 2 || [...held.values()].includes(userId)) return;
        held.set(await holds.add({ scope: { userId }, ...CASE }), userId);
        const positions: number[] = [];
        for (const { sender, eventId } of messages) {
          const position = sender.userId === userId ? positionOfEvent(app.engine.reader, eventId) : undefined;
          if (position !== undefined && (await isReadable(position))) positions.push(position);
        }
        kept.set(userId, positions);
      },
      async () => {
        const [id] = [...held.keys()];
        if (id === undefined) return;
        held.delete(id);
        await holds.release(id, { by: 'operator:judge', reason: 'R' });
        // The release has begun it: this waits for the same.
        for (const userId of erased) for (const erasure of erasures.of(userId)) await erasures.run(erasure.id);
      },
      async () => {
        // One stays, so that something goes on.
        if (active().length < 2) return;
        const { userId } = active().at(-1) ?? owner;
        erased.add(userId);
        await erasures.run(
          await erasures.request({ userId, by: 'operator:x', reason: null, caseId: null, asksPeers: false }),
        );
      },
      async () => {
        app.advance(random(12) * DAY);
        await retention.run();
      },
      async () => {
        await purges.history(pick(rooms), { beforeMs: app.now() - random(10) * DAY });
      },
      async () => {
        // As after a crash: something is decided, its keys may be there still, and the next start goes on with it.
        const of = messages.filter(({ sender }) => ![...held.values()].includes(sender.userId));
        if (of.length === 0) return;
        const { eventId } = pick(of);
        const position = positionOfEvent(app.engine.reader, eventId);
        if (position === undefined) return;
        await destruction.destroy({
          cause: 'history_purge',
          requestId: null,
          why: 'A test.',
          items: [{ position, sections: [1] }],
        });
        await destruction.resume();
      },
    ];

    for (let step = 0; step < STEPS; step++) {
      await pick(steps)();
      const now = await leavesOf(app);
      expect(now.slice(0, leaves.length)).toEqual(leaves);
      leaves = now;
      expect(unfinishedDestructions(app.engine.reader)).toEqual([]);
      for (const [userId, positions] of kept) {
        if (![...held.values()].includes(userId)) {
          kept.delete(userId);
          continue;
        }
        for (const position of positions)
          expect(await isReadable(position), `step ${step}: record ${position}`).toBe(true);
      }
      for (const { mark, sender } of messages) {
        // While a hold stands what it covers can be read in the log, whatever was asked.
        if ([...held.values()].includes(sender.userId) || !erased.has(sender.userId)) continue;
        expect(await filesWith(app, mark), `step ${step}: ${mark} of ${sender.userId}`).toEqual([]);
      }
    }
    for (const [id] of held) await holds.release(id, { by: 'operator:judge', reason: 'R' });
    for (const userId of erased) for (const { id } of erasures.of(userId)) await erasures.run(id);
    app.advance(40 * DAY);
    await retention.run();
    for (const { mark } of messages) expect(await filesWith(app, mark)).toEqual([]);
    expect(await differences(app)).toEqual([]);
  } finally {
    await app.close();
  }
});
