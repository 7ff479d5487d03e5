/** A client that asks for keys anew whenever it is told to has those that count, of everybody whom it shares a room with. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { holds } from '#test/support/property.ts';
import { anotherDevice, deviceKeysOf, type EncryptionSync, query } from './encryption-client.ts';
import { type Deed, deedsAnd, History, isDeed } from './random-history.ts';
import { slide } from './sliding-sync-client.ts';
import { sync } from './sync-client.ts';

const RUNS = 25;

let app: TestApplication;
let runs = 0;

beforeEach(async () => {
  app = await startApplication({ push: { enabled: false } });
});

afterEach(() => app.close());

type DeviceLists = NonNullable<EncryptionSync['device_lists']>;

/** Gives what is new after the token of the answer before, and the next token. */
type Ask = (token: string | undefined) => Promise<{ readonly lists: DeviceLists; readonly token: string }>;

/** The two kinds of sync. */
const KINDS: Readonly<Record<string, (watcher: TestClient) => Ask>> = {
  sync: (watcher) => async (since) => {
    const { device_lists: lists = {}, next_batch: token }: EncryptionSync = await sync(watcher, since ? { since } : {});
    return { lists, token };
  },
  'sliding sync': (watcher) => async (pos) => {
    const { extensions, pos: token } = await slide(
      watcher,
      { extensions: { e2ee: { enabled: true } } },
      pos ? { pos } : {},
    );
    return { lists: extensions.e2ee?.device_lists ?? {}, token };
  },
};

/** A client that keeps the keys of everybody whom it may have to write to. */
class Follower {
  readonly keys = new Map<string, string>();
  readonly #watcher: TestClient;
  readonly #ask: Ask;
  #token: string | undefined;

  constructor(watcher: TestClient, ask: Ask) {
    this.#watcher = watcher;
    this.#ask = ask;
  }

  async look(isLost: boolean): Promise<void> {
    const { lists, token } = await this.#ask(this.#token);
    if (isLost) return;
    // A new client asks for whomever it finds in its rooms.
    const { changed = [], left = [] } = this.#token === undefined ? { changed: await company(this.#watcher) } : lists;
    this.#token = token;
    for (const userId of changed) this.keys.set(userId, await keysOf(this.#watcher, userId));
    for (const userId of left) this.keys.delete(userId);
  }
}

async function keysOf(by: TestClient, userId: string): Promise<string> {
  return JSON.stringify((await query(by, userId)).device_keys[userId]);
}

/** Everybody whom somebody shares a room with. */
async function company(client: TestClient): Promise<readonly string[]> {
  const members = new Set<string>();
  const { joined_rooms: rooms } = (await client.ok('GET', '/joined_rooms')) as unknown as { joined_rooms: string[] };
  for (const roomId of rooms) {
    const { joined } = await client.ok('GET', `/rooms/${roomId}/joined_members`);
    for (const userId of Object.keys(joined as unknown as object)) if (userId !== client.userId) members.add(userId);
  }
  return [...members];
}

/** What actors do with their devices. */
class Devices {
  readonly #further = new Map<TestClient, TestClient[]>();

  async publish(actor: TestClient): Promise<void> {
    const device_keys = deviceKeysOf(actor, `identity ${app.now()}`);
    await actor.ok('POST', '/keys/upload', { device_keys });
  }

  async add(actor: TestClient): Promise<void> {
    const device = await anotherDevice(app, actor);
    this.#further.set(actor, [...(this.#further.get(actor) ?? []), device]);
    await this.publish(device);
  }

  async remove(actor: TestClient): Promise<void> {
    await this.#further.get(actor)?.pop()?.ok('POST', '/logout');
  }
}

const MOVES: readonly Deed['what'][] = ['move', 'invite', 'kick', 'ban', 'unban', 'enter', 'exit', 'knock', 'forget'];

const script = fc.array(
  deedsAnd(...(['publish', 'publish', 'add', 'remove', 'look', 'look', 'look', 'lose', 'check'] as const)).filter(
    ({ what }) => !isDeed({ what }) || (MOVES as readonly string[]).includes(what) || what === 'rename',
  ),
  { minLength: 10, maxLength: 60 },
);

it.each(Object.entries(KINDS))('%s tells whose keys to ask for', { timeout: 3_600_000 }, async (_kind, askAs) => {
  await holds(
    script,
    async (steps) => {
      runs += 1;
      const watcher = await app.register(`watcher${runs}`);
      const actors = [await app.register(`one${runs}`), await app.register(`two${runs}`)];
      const history = await History.begin(app, watcher, actors);
      const follower = new Follower(watcher, askAs(watcher));
      const devices = new Devices();
      const check = async (): Promise<void> => {
        await follower.look(false);
        const others = await company(watcher);
        for (const userId of others) expect(follower.keys.get(userId)).toBe(await keysOf(watcher, userId));
        const strangers = actors.map(({ userId }) => userId).filter((userId) => !others.includes(userId));
        for (const userId of strangers) {
          // Whoever is only invited may be written to as well, and is asked for again before.
          if (!(await isInvitedWith(watcher, userId))) expect(follower.keys.has(userId)).toBe(false);
        }
      };
      for (const step of steps) {
        const actor = actors[step.actor] ?? watcher;
        const { what } = step;
        if (what === 'publish' || what === 'add' || what === 'remove') await devices[what](actor);
        else if (what === 'look' || what === 'lose') await follower.look(what === 'lose');
        else if (what === 'check') await check();
        else if (isDeed(step)) await history.take(step);
      }
      await check();
    },
    RUNS,
  );
});

async function isInvitedWith(client: TestClient, userId: string): Promise<boolean> {
  const { joined_rooms: rooms } = (await client.ok('GET', '/joined_rooms')) as unknown as { joined_rooms: string[] };
  for (const roomId of rooms) {
    const { status, body } = await client.call('GET', `/rooms/${roomId}/state/m.room.member/${userId}`);
    if (status === 200 && body['membership'] === 'invite') return true;
  }
  return false;
}
