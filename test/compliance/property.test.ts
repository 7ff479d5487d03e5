/**
 * Random sequences of what people and operators do: sends, edits, redactions, uploads, holds of users, rooms and times (also
 * while an erasure is under way), releases, erasures, retention runs, purges, crashes between a decision and its end, backups, and
 * restores of any generation, looked at or gone on from; under a policy with and without a minimum lifetime that has a legal basis.
 * Whatever the order, no hold and no such minimum is broken, what was to go is in no file, what was destroyed does not come back, the
 * tables are what a replay gives, the proofs verify, each destroyed key has its decision, and no leaf of the log changes.
 *
 * More of them: `STELE_PROPERTY_SEEDS=1000 npm test -- test/compliance/property.test.ts`; the seed of one that failed with
 * `STELE_PROPERTY_FIRST`, and `STELE_PROPERTY_STEPS` for longer ones.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { HoldScope } from '#projections/compliance/records.ts';
import { DAY, World } from './property-world.test-support.ts';
import { filesWith, say, upload } from './support.ts';

const SEEDS = numberFrom('STELE_PROPERTY_SEEDS', 2);
const FIRST_SEED = numberFrom('STELE_PROPERTY_FIRST', 1);
const STEPS = numberFrom('STELE_PROPERTY_STEPS', 40);
/** Holds that stand at one time. */
const MAX_HOLDS = 2;

function numberFrom(name: string, fallback: number): number {
  return Number(process.env[name] ?? fallback);
}

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

/** What can happen, by name. */
function stepsIn(world: World, random: (below: number) => number): Readonly<Record<string, () => Promise<void>>> {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const newMark = (): string => `mark-${random(1e9)}-${random(1e9)}.`;
  const roomPath = (roomId: string): string => `/rooms/${encodeURIComponent(roomId)}`;
  const ofActive = () => world.messages.filter(({ userId }) => !world.erased.has(userId));

  const send = async (): Promise<void> => {
    const { userId } = pick(world.active());
    const [roomId, mark] = [pick(world.rooms), newMark()];
    await world.note({ userId, roomId, mark, eventId: await say(world.as(userId), roomId, mark) });
  };
  const edit = async (): Promise<void> => {
    const of = ofActive();
    if (of.length === 0) return;
    const { userId, roomId, eventId } = pick(of);
    const mark = newMark();
    const at = `${roomPath(roomId)}/send/m.room.message/${random(1e9)}`;
    const answer = await world.as(userId).call('PUT', at, {
      msgtype: 'm.text',
      body: mark,
      'm.new_content': { msgtype: 'm.text', body: mark },
      'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
    });
    if (answer.status === 200) await world.note({ userId, roomId, mark, eventId: String(answer.body['event_id']) });
  };
  const redact = async (): Promise<void> => {
    const of = ofActive();
    if (of.length === 0) return;
    const { userId, roomId, eventId } = pick(of);
    const at = `${roomPath(roomId)}/redact/${encodeURIComponent(eventId)}/${random(1e9)}`;
    await world.as(userId).ok('PUT', at, {});
  };
  const tell = async (): Promise<void> => {
    const { userId } = pick(world.active());
    const user = world.as(userId);
    await user.ok('PUT', `/profile/${userId}/displayname`, { displayname: `name ${random(1e9)}` });
    await upload(world.app, user, `file ${random(1e9)}`);
  };
  const scope = (userId: string): HoldScope => {
    const aroundNow = { fromMs: world.now() - random(8) * DAY, toMs: world.now() + random(8) * DAY + 1 };
    return pick<HoldScope>([{ userId }, { roomId: pick(world.rooms) }, aroundNow, { userId, ...aroundNow }]);
  };
  const hold = async (): Promise<void> => {
    if (world.held.size < MAX_HOLDS) await world.hold(scope(pick(world.people).userId));
  };
  const release = async (): Promise<void> => {
    const [id] = world.held.keys();
    if (id !== undefined) await world.release(id);
  };
  const erase = async (): Promise<void> => {
    // One stays, so that something goes on.
    const leaving = world.active().slice(1).at(-1);
    if (leaving !== undefined) await world.erase(leaving.userId);
  };
  const holdWhileErasing = async (): Promise<void> => {
    const leaving = world.active().slice(1).at(-1);
    if (leaving === undefined || world.held.size === MAX_HOLDS) return;
    await Promise.all([world.erase(leaving.userId), world.hold(scope(leaving.userId))]);
  };
  const retain = async (): Promise<void> => {
    world.advance(random(12) * DAY);
    await world.app.context.compliance.retention.run();
    await world.checkExpired('after a run');
  };
  const purge = async (): Promise<void> => {
    const beforeMs = world.now() - random(10) * DAY;
    await world.app.context.compliance.purges.history(pick(world.rooms), { beforeMs });
  };
  const crash = async (): Promise<void> => {
    const of = world.messages.filter((message) => !world.isHeld(message) && !world.hasToStay(message));
    if (of.length > 0) await world.crash(pick(of), pick(['before', 'after', 'while building']));
  };
  const backUp = (): Promise<void> => world.backUp();
  const restore = async (goesOn: boolean): Promise<void> => {
    if (world.generations.length === 0) return;
    const generation = pick(world.generations);
    const { records } = generation;
    const upTo = random(3) === 0 ? world.firstRecords + random(records - world.firstRecords + 1) : records;
    await world.restore(generation, { goesOn, ...(upTo < records && { upTo }) });
  };
  return {
    send,
    'send again': send,
    edit,
    redact,
    tell,
    hold,
    release,
    erase,
    'hold while erasing': holdWhileErasing,
    retain,
    purge,
    crash,
    'back up': backUp,
    restore: () => restore(false),
    'restore and go on': () => restore(true),
  };
}

it.each(Array.from({ length: SEEDS }, (_, at) => FIRST_SEED + at))(
  'with seed %i',
  { timeout: 600_000 },
  async (seed) => {
    const random = randomOf(seed);
    const folder = await mkdtemp(path.join(tmpdir(), 'stele-property-'));
    const world = new World(folder, seed % 2 === 0);
    try {
      await world.begin();
      const steps = stepsIn(world, random);
      const names = Object.keys(steps);
      const done: string[] = [];
      for (let step = 0; step < STEPS; step++) {
        const name = names[random(names.length)] ?? '';
        done.push(name);
        await steps[name]?.();
        await world.check(`seed ${seed}, after ${done.join(', ')}`);
      }
      for (const id of [...world.held.keys()]) await world.release(id);
      await world.settleErasures();
      world.advance(40 * DAY);
      await world.app.context.compliance.retention.run();
      for (const { mark } of world.messages) expect(await filesWith(world.app, mark)).toEqual([]);
      await world.checkWhole();
      // All of it has gone by now: whichever generation is restored, nothing of it comes back.
      for (const generation of world.generations) await world.restore(generation, { goesOn: false });
    } finally {
      await world.end();
      await rm(folder, { recursive: true, force: true });
    }
  },
);
