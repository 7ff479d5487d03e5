/** Backups of room keys over HTTP. */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isBetter } from '#src/encryption/key-backup.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;
let users = 0;

beforeAll(async () => {
  app = await startApplication();
});

afterAll(() => app.close());

beforeEach(async () => {
  alice = await app.register(`user${users++}`);
});

const ALGORITHM = 'm.megolm_backup.v1.curve25519-aes-sha2';
const ROOM = '!room:localhost';
const create = async (authData: unknown = { public_key: 'key' }) =>
  String((await alice.ok('POST', '/room_keys/version', { algorithm: ALGORITHM, auth_data: authData })).version);
const info = (version?: string) => alice.ok('GET', `/room_keys/version${version === undefined ? '' : `/${version}`}`);
const refused = async (...request: Parameters<TestClient['call']>) => {
  const { status, body } = await alice.call(...request);
  return [status, body.errcode];
};
const keyWith = (changes: object = {}) => ({
  first_message_index: 3,
  forwarded_count: 1,
  is_verified: false,
  session_data: { ciphertext: 'text' },
  ...changes,
});

describe('a backup', () => {
  it('is made, found, changed and deleted; the one before is in use again then', async () => {
    expect(await refused('GET', '/room_keys/version')).toEqual([404, 'M_NOT_FOUND']);
    const first = await create();
    const second = await create({ public_key: 'other' });
    expect(await info()).toEqual({
      algorithm: ALGORITHM,
      auth_data: { public_key: 'other' },
      count: 0,
      etag: '0',
      version: second,
    });
    await alice.ok('PUT', `/room_keys/version/${first}`, { algorithm: ALGORITHM, auth_data: 1, version: first });
    expect(await info(first)).toMatchObject({ auth_data: 1, version: first });
    await alice.ok('DELETE', `/room_keys/version/${second}`);
    await alice.ok('DELETE', `/room_keys/version/${second}`);
    expect(await refused('GET', `/room_keys/version/${second}`)).toEqual([404, 'M_NOT_FOUND']);
    expect(await info()).toMatchObject({ version: first });
    const third = await create();
    expect(Number(third)).toBeGreaterThan(Number(second));
    for (const version of [first, second, third]) await alice.ok('DELETE', `/room_keys/version/${version}`);
    expect(Number(await create())).toBeGreaterThan(Number(third));
  });

  it('keeps its algorithm, and needs to be there', async () => {
    const version = await create();
    const changed = { algorithm: 'other', auth_data: {} };
    expect(await refused('PUT', `/room_keys/version/${version}`, changed)).toEqual([400, 'M_INVALID_PARAM']);
    const mismatch = { algorithm: ALGORITHM, auth_data: {}, version: '9' };
    expect(await refused('PUT', `/room_keys/version/${version}`, mismatch)).toEqual([400, 'M_INVALID_PARAM']);
    for (const unknown of ['99', 'x', '0', '-1']) {
      expect(await refused('GET', `/room_keys/version/${unknown}`)).toEqual([404, 'M_NOT_FOUND']);
      expect(await refused('DELETE', `/room_keys/version/${unknown}`)).toEqual([404, 'M_NOT_FOUND']);
      expect(await refused('GET', `/room_keys/keys?version=${unknown}`)).toEqual([404, 'M_NOT_FOUND']);
    }
  });

  it('is one of its user only', async () => {
    const version = await create();
    await alice.ok('PUT', `/room_keys/keys/${ROOM}/s?version=${version}`, keyWith());
    const bob = await app.register(`bob${users}`);
    expect((await bob.call('GET', `/room_keys/keys?version=${version}`)).status).toBe(404);
  });
});

describe('keys in a backup', () => {
  it('are stored and read one by one, by room, and all at once', async () => {
    const version = await create();
    const at = (path: string) => `/room_keys/keys${path}?version=${version}`;
    expect(await alice.ok('GET', at(''))).toEqual({ rooms: {} });
    expect(await alice.ok('GET', at(`/${ROOM}`))).toEqual({ sessions: {} });
    expect(await refused('GET', at(`/${ROOM}/a`))).toEqual([404, 'M_NOT_FOUND']);
    expect(await alice.ok('PUT', at(`/${ROOM}/a`), keyWith())).toEqual({ count: 1, etag: '1' });
    const sessions = { b: keyWith(), c: keyWith({ session_data: 'opaque' }) };
    expect(await alice.ok('PUT', at(`/${ROOM}`), { sessions })).toEqual({ count: 3, etag: '2' });
    const other = { '!other:localhost': { sessions: { d: keyWith() } } };
    expect(await alice.ok('PUT', at(''), { rooms: other })).toEqual({ count: 4, etag: '3' });
    expect(await alice.ok('GET', at(''))).toEqual({
      rooms: { [ROOM]: { sessions: { a: keyWith(), ...sessions } }, ...other },
    });
    expect(await alice.ok('GET', at(`/${ROOM}`))).toEqual({ sessions: { a: keyWith(), ...sessions } });
    expect(await alice.ok('GET', at(`/${ROOM}/c`))).toEqual(sessions.c);
    expect(await info()).toMatchObject({ count: 4, etag: '3' });
  });

  it('are removed likewise', async () => {
    const version = await create();
    const at = (path: string) => `/room_keys/keys${path}?version=${version}`;
    const rooms = Object.fromEntries(
      ['!a:x', '!b:x', '!c:x'].map((id) => [id, { sessions: { s: keyWith(), t: keyWith() } }]),
    );
    await alice.ok('PUT', at(''), { rooms });
    expect(await alice.ok('DELETE', at('/!a:x/s'))).toEqual({ count: 5, etag: '2' });
    expect(await alice.ok('DELETE', at('/!a:x/s'))).toEqual({ count: 5, etag: '2' });
    expect(await alice.ok('DELETE', at('/!b:x'))).toEqual({ count: 3, etag: '3' });
    expect(await alice.ok('DELETE', at(''))).toEqual({ count: 0, etag: '4' });
    expect(await alice.ok('GET', at(''))).toEqual({ rooms: {} });
  });

  it('go with their backup, and go into the one in use only', async () => {
    const old = await create();
    const current = await create();
    const { status, body } = await alice.call('PUT', `/room_keys/keys/${ROOM}/a?version=${old}`, keyWith());
    expect([status, body.errcode, body.current_version]).toEqual([403, 'M_WRONG_ROOM_KEYS_VERSION', current]);
    expect(await refused('PUT', `/room_keys/keys/${ROOM}/a?version=99`, keyWith())).toEqual([404, 'M_NOT_FOUND']);
    await alice.ok('PUT', `/room_keys/keys/${ROOM}/a?version=${current}`, keyWith());
    await alice.ok('DELETE', `/room_keys/version/${current}`);
    const next = await create();
    expect(await alice.ok('GET', `/room_keys/keys?version=${next}`)).toEqual({ rooms: {} });
  });

  it('have to be of the right shape', async () => {
    const version = await create();
    const at = `/room_keys/keys/${ROOM}/a`;
    expect(await refused('PUT', at, keyWith())).toEqual([400, 'M_MISSING_PARAM']);
    expect(await refused('PUT', `${at}?version=${version}`, keyWith({ first_message_index: -1 }))).toEqual([
      400,
      'M_BAD_JSON',
    ]);
    expect(await refused('PUT', `${at}?version=${version}`, {})).toEqual([400, 'M_MISSING_PARAM']);
    const long = `/room_keys/keys/${ROOM}/${'s'.repeat(300)}?version=${version}`;
    expect(await refused('PUT', long, keyWith())).toEqual([400, 'M_INVALID_PARAM']);
  });

  const key = fc.record({
    first_message_index: fc.integer({ min: 0, max: 2 }),
    forwarded_count: fc.integer({ min: 0, max: 2 }),
    is_verified: fc.boolean(),
  });

  it('give way to better ones, in whatever order they come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(key, { minLength: 1, maxLength: 6 }), async (keys) => {
        const version = await create();
        let best = keys[0];
        let etag = 0;
        for (const [index, one] of keys.entries()) {
          const isNews = index === 0 || (best !== undefined && rank(one) < rank(best));
          if (isNews) [best, etag] = [one, etag + 1];
          const at = `/room_keys/keys/${ROOM}/a?version=${version}`;
          const answer = await alice.ok('PUT', at, { ...one, session_data: { index } });
          expect(answer).toEqual({ count: 1, etag: String(etag) });
        }
        expect(await alice.ok('GET', `/room_keys/keys/${ROOM}/a?version=${version}`)).toMatchObject({ ...best });
        await alice.ok('DELETE', `/room_keys/version/${version}`);
      }),
      { numRuns: 20, seed: 1 },
    );
  });

  /** The specification's order as a number: verified, then the first message, then how often it was forwarded. */
  function rank(one: { first_message_index: number; forwarded_count: number; is_verified: boolean }): number {
    return Number(!one.is_verified) * 100 + one.first_message_index * 10 + one.forwarded_count;
  }

  it('do not give way to themselves', () => {
    const same = {
      roomId: ROOM,
      sessionId: 's',
      firstMessageIndex: 1,
      forwardedCount: 1,
      isVerified: true,
      sessionDataJson: '{}',
    };
    expect(isBetter(same, same)).toBe(false);
  });
});
