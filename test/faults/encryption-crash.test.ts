/**
 * The server is killed again and again while keys are claimed and messages go to devices: no one-time key is ever given away twice, each
 * message to a device is had once, by either kind of sync, and what was said in a room is told.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SteleProcess, TestUser } from '#test/support/stele-process.ts';

const ROUNDS = 4;
/** Requests that are answered before the server is killed under the next ones. */
const ANSWERS_A_ROUND = 60;
const KEYS = 400;
const ALGORITHM = 'signed_curve25519';

let stele: SteleProcess;
let bob: TestUser;
let claimers: readonly TestUser[];
let sender: TestUser;
let room: string;

beforeAll(async () => {
  stele = await SteleProcess.make();
  await stele.start();
  bob = await stele.register('bob');
  claimers = [await stele.register('alice'), await stele.register('carol')];
  sender = await stele.register('sender');
  room = String((await sender.call('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
  await bob.call('POST', `/join/${room}`, {});
  const names = Array.from({ length: KEYS }, (_, index) => `k${String(index).padStart(4, '0')}`);
  const one_time_keys = Object.fromEntries(
    names.map((name) => [`${ALGORITHM}:${name}`, { key: name, signatures: { [bob.userId]: {} } }]),
  );
  await bob.call('POST', '/keys/upload', { one_time_keys });
});

afterAll(() => stele.remove());

/** The key that somebody gets when they ask for one of Bob's; undefined when there is none left. */
async function claim(by: TestUser): Promise<string | undefined> {
  const wanted = { one_time_keys: { [bob.userId]: { [bob.deviceId]: ALGORITHM } } };
  const { one_time_keys } = (await by.call('POST', '/keys/claim', wanted)) as unknown as Claimed;
  return Object.values(one_time_keys[bob.userId]?.[bob.deviceId] ?? {})[0]?.key;
}

interface Claimed {
  readonly one_time_keys: Record<string, Record<string, Record<string, { readonly key: string }>>>;
}

interface Message {
  readonly content: { readonly n: number };
}

/** A device that takes in an answer only by coming back with its token, and now and then loses one. */
abstract class Listener {
  readonly heard: number[] = [];
  #asked = 0;

  async listen(): Promise<void> {
    const takeIn = await this.ask();
    this.#asked += 1;
    if (this.#asked % 3 !== 0) takeIn();
  }

  /** Asks; gives what takes the answer in. */
  protected abstract ask(): Promise<() => void>;
}

class SyncListener extends Listener {
  #since: string | undefined;

  protected override async ask(): Promise<() => void> {
    const query = this.#since === undefined ? '' : `&since=${this.#since}`;
    const { next_batch, to_device } = (await bob.call('GET', `/sync?timeout=0${query}`)) as unknown as {
      readonly next_batch: string;
      readonly to_device?: { readonly events: readonly Message[] };
    };
    return () => {
      this.#since = next_batch;
      for (const { content } of to_device?.events ?? []) this.heard.push(content.n);
    };
  }
}

interface SlidingAnswer {
  readonly pos: string;
  readonly rooms: Record<string, SlidingRoom>;
  readonly extensions: { readonly to_device?: { readonly next_batch: string; readonly events: readonly Message[] } };
}

interface SlidingRoom {
  readonly initial?: boolean;
  readonly limited?: boolean;
  readonly timeline?: readonly { readonly type: string; readonly content: { readonly body?: string } }[];
}

class SlidingListener extends Listener {
  /** What was said in the room, as far as the timeline of this connection goes back. */
  said: string[] = [];
  #pos: string | undefined;
  #since: string | undefined;
  readonly #user: TestUser;

  constructor(user: TestUser) {
    super();
    this.#user = user;
  }

  protected override async ask(): Promise<() => void> {
    const answer = await this.#answer();
    if (answer === undefined) return () => {};
    return () => {
      this.#pos = answer.pos;
      this.#since = answer.extensions.to_device?.next_batch ?? this.#since;
      for (const { content } of answer.extensions.to_device?.events ?? []) this.heard.push(content.n);
      const { initial, limited, timeline = [] } = answer.rooms[room] ?? {};
      if (initial === true || limited === true) this.said = [];
      for (const { type, content } of timeline) if (type === 'm.room.message') this.said.push(String(content.body));
    };
  }

  /** Undefined where the server has forgotten what the connection knows: then it begins anew. */
  async #answer(): Promise<SlidingAnswer | undefined> {
    const body = {
      lists: { all: { ranges: [[0, 9]], timeline_limit: 500, required_state: [] } },
      extensions: { to_device: { enabled: true, ...(this.#since !== undefined && { since: this.#since }) } },
    };
    const query = this.#pos === undefined ? '' : `?pos=${encodeURIComponent(this.#pos)}`;
    const at = `${stele.url}/_matrix/client/unstable/org.matrix.simplified_msc3575/sync${query}`;
    const authorization = `Bearer ${this.#user.accessToken}`;
    const response = await fetch(at, { method: 'POST', headers: { authorization }, body: JSON.stringify(body) });
    const answer = (await response.json()) as SlidingAnswer & { readonly errcode?: string };
    if (response.ok) return answer;
    if (answer.errcode !== 'M_UNKNOWN_POS') throw new Error(`sliding sync: ${JSON.stringify(answer)}`);
    this.#pos = undefined;
    return undefined;
  }
}

it('gives no key away twice, and each message to a device once', { timeout: 240_000 }, async () => {
  const phone = await newDevice('phone');
  const bySync = new SyncListener();
  const bySliding = new SlidingListener(phone);
  const given = claimers.map((): string[] => []);
  const said: string[] = [];
  let sent = 0;
  let unanswered = 0;

  const send = async (): Promise<void> => {
    const messages = { [bob.userId]: { [bob.deviceId]: { n: sent }, [phone.deviceId]: { n: sent } } };
    // Sent again under the same name until it is answered.
    await sender.call('PUT', `/sendToDevice/org.example/t${sent}`, { messages });
    sent += 1;
  };
  const say = async (): Promise<void> => {
    const body = String(said.length);
    await sender.call('PUT', `/rooms/${room}/send/m.room.message/t${body}`, { msgtype: 'm.text', body });
    said.push(body);
  };
  const works = [
    ...claimers.map((by, index) => async () => {
      const key = await claim(by);
      if (key !== undefined) given[index]?.push(key);
    }),
    send,
    say,
    () => bySync.listen(),
    () => bySliding.listen(),
  ];

  for (let round = 0; round < ROUNDS; round += 1) {
    let answers = 0;
    let killed: Promise<unknown> | undefined;
    const workers = works.map(async (work) => {
      while (killed === undefined) {
        try {
          await work();
        } catch (error) {
          if (killed === undefined) throw error;
          unanswered += 1;
          return;
        }
        answers += 1;
        if (answers >= ANSWERS_A_ROUND * (round + 1)) killed ??= stele.stop('SIGKILL');
      }
    });
    await Promise.all(workers);
    await killed;
    await stele.start();
  }

  await send();
  await say();
  for (let times = 0; times < 6; times += 1) await Promise.all([bySync.listen(), bySliding.listen()]);
  for (const { heard } of [bySync, bySliding]) expect(heard).toEqual(Array.from({ length: sent }, (_, n) => n));
  expect(bySliding.said).toEqual(said);

  for (const keys of given) expect(keys).toEqual([...keys].sort());
  const rest: string[] = [];
  for (let key = await claim(bob); key !== undefined; key = await claim(bob)) rest.push(key);
  const all = [...given.flat(), ...rest];
  expect(new Set(all).size).toBe(all.length);
  expect(unanswered).toBeGreaterThan(0);
  // What is in no answer was given away by one that never came.
  expect(KEYS - all.length).toBeLessThanOrEqual(unanswered);
});

async function newDevice(device_id: string): Promise<TestUser> {
  const identifier = { type: 'm.id.user', user: 'bob' };
  const login = { type: 'm.login.password', identifier, password: 'correct horse battery staple', device_id };
  const { access_token } = await bob.call('POST', '/login', login);
  return new TestUser(stele.url, bob.userId, String(access_token), device_id);
}
