/** Whose keys are found, from whom, and how often anybody is asked. */
import type { RequestListener } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readKeysSeen } from '#projections/federation/key-records.ts';
import { keyOfServer, keysOfServer, MAX_KEYS_PER_SERVER } from '#projections/federation/keys.ts';
import { encodeBase64 } from '#protocol/base64.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '#protocol/signing.ts';
import { MAX_ANSWER_CHARACTERS } from '#src/federation/keys/notary.ts';
import {
  MAX_FETCHES,
  MAX_WAITING_FETCHES,
  STRANGERS_BURST_KIB,
  STRANGERS_REFILL_MS,
} from '#src/federation/keys/server-keys.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { answerJson, startTlsPeer, type TlsPeer } from '#test/support/tls-peer.ts';

const DAY_MS = 24 * 60 * 60_000;

const network = new TestNetwork();
let one: TestServer;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  one = await startServerOn(network, 'one.test', { federation: { trusted_key_servers: ['three.test'] } });
});
afterAll(() => one.close());
beforeEach(() => {
  // What one test found out about the notary is not what the next needs.
  one.advance(70 * 60_000);
  one.context.federation.destinations.alive('three.test');
  network.setReachable('three.test', false);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface NamedPeer extends TlsPeer {
  /** Its server name, which no other test has. */
  readonly name: string;
}

/** A server whose answers may depend on its name. */
async function peer(answer: (name: string) => RequestListener): Promise<NamedPeer> {
  let name = '';
  const made = await startTlsPeer((request, response) => answer(name)(request, response));
  closers.push(made.close);
  name = `127.0.0.1:${made.port}`;
  return Object.defineProperties({ name }, Object.getOwnPropertyDescriptors(made)) as NamedPeer;
}

/** A name that nothing answers to. */
function nobody(): string {
  names += 1;
  return `nobody-${names}.test`;
}
let names = 0;

const key = (name: string): SigningKey => signingKeyFromSeed(`ed25519:${name}`, Buffer.alloc(32, `seed ${name}`));

interface Said {
  readonly keys: readonly SigningKey[];
  readonly old?: readonly (readonly [SigningKey, expiredTs: number])[];
  readonly validUntilTs?: number;
  readonly extra?: JsonObject;
}

/** What a server says of its keys, signed with those in use. */
function said(serverName: string, { keys, old = [], validUntilTs = one.now() + DAY_MS, extra = {} }: Said): JsonObject {
  const unsigned: JsonObject = {
    server_name: serverName,
    valid_until_ts: validUntilTs,
    verify_keys: Object.fromEntries(keys.map((one) => [one.keyId, { key: encodeBase64(one.publicKey) }])),
    old_verify_keys: Object.fromEntries(
      old.map(([one, expiredTs]) => [one.keyId, { key: encodeBase64(one.publicKey), expired_ts: expiredTs }]),
    ),
    ...extra,
  };
  return keys.reduce((answer: JsonObject, one) => signJson(answer, serverName, one), unsigned);
}

async function find(serverName: string, keyIds: string[], validAtMs = 0): Promise<string[]> {
  const found = await one.context.federation.keys.keysFor([{ serverName, keyIds, validAtMs }]);
  return [...(found.get(serverName)?.keys() ?? [])];
}

describe('a server’s own answer', () => {
  it('is asked for once by many, and then known, to the log too', async () => {
    const two = await peer((name) => answerJson(said(name, { keys: [key('a')], old: [[key('b'), 5]] })));
    const { keys } = one.context.federation;
    const wanted = Array.from({ length: 50 }, () => [
      { serverName: two.name, keyIds: ['ed25519:a'], validAtMs: one.now() },
      { serverName: two.name, keyIds: ['ed25519:b'], validAtMs: one.now() },
    ]);
    const found = await Promise.all(wanted.map((requests) => keys.keysFor(requests)));
    expect(two.requests).toEqual(['GET /_matrix/key/v2/server']);
    for (const each of found) {
      expect(each.get(two.name)?.get('ed25519:a')?.publicKey).toEqual(key('a').publicKey);
      expect(each.get(two.name)?.get('ed25519:b')).toMatchObject({ validity: { expiredTs: 5 } });
    }
    expect(keyOfServer(one.context.reader, two.name, 'ed25519:a')).toMatchObject({ isDirect: true });
    const records = [];
    const newest = { direction: 'backwards', limit: 2 } as const;
    for await (const record of one.log.readStream('server-keys-seen', newest)) records.push(readKeysSeen(record));
    expect(records.map((seen) => seen?.serverName === two.name)).toEqual(records.length === 1 ? [true] : [true, false]);
  });

  it('is asked for again when a key is wanted for longer, or is not in it', async () => {
    let keys = [key('a')];
    const two = await peer((name) => answerJson(said(name, { keys })));
    expect(await find(two.name, ['ed25519:a'])).toEqual(['ed25519:a']);
    keys = [key('c')];
    // The server has another key now; what it signed before can still be verified.
    expect(await find(two.name, ['ed25519:c', 'ed25519:a'])).toEqual(['ed25519:c', 'ed25519:a']);
    expect(two.requests).toHaveLength(2);
    const wanted = one.now() + 2 * DAY_MS;
    expect(await find(two.name, ['ed25519:c'], wanted)).toEqual(['ed25519:c']);
    // It said so a moment ago.
    expect(two.requests).toHaveLength(2);
    one.advance(61_000);
    expect(await find(two.name, ['ed25519:c'], wanted)).toEqual(['ed25519:c']);
    expect(two.requests).toHaveLength(3);
  });

  it('that promises a key for ever has to be given again after seven days, and counts no longer where it is not', async () => {
    let keys = [key('a')];
    const validUntilTs = Number.MAX_SAFE_INTEGER;
    const two = await peer((name) => answerJson(said(name, { keys, validUntilTs })));
    const { keys: known } = one.context.federation;
    const untilOf = (keyId: string) => {
      const validity = known.known(two.name, keyId)?.validity;
      return validity && 'validUntilTs' in validity ? validity.validUntilTs : undefined;
    };
    await find(two.name, ['ed25519:a'], one.now());
    expect(untilOf('ed25519:a')).toBeLessThanOrEqual(one.now() + 7 * DAY_MS);
    one.advance(8 * DAY_MS);
    await find(two.name, ['ed25519:a'], one.now());
    expect(two.requests).toHaveLength(2);
    expect(untilOf('ed25519:a')).toBeGreaterThan(one.now() + 6 * DAY_MS);
    // Whoever has the server now lists other keys.
    keys = [key('b')];
    one.advance(8 * DAY_MS);
    await find(two.name, ['ed25519:a'], one.now());
    expect(two.requests).toHaveLength(3);
    expect(untilOf('ed25519:a')).toBeLessThan(one.now());
    expect(untilOf('ed25519:b')).toBeGreaterThan(one.now());
  });

  const refused: [string, (name: string) => JsonObject][] = [
    ['is about another server', () => said('three.test', { keys: [key('a')] })],
    ['is not signed', (name) => ({ ...said(name, { keys: [key('a')] }), signatures: {} })],
    [
      'is signed with another key',
      (name) => {
        const mine = said(name, { keys: [key('a')] });
        const other = signJson({ ...mine, signatures: {} }, name, { ...key('b'), keyId: 'ed25519:a' });
        return other;
      },
    ],
    [
      'lists a key that did not sign',
      (name) => {
        const { signatures, ...mine } = said(name, { keys: [key('a'), key('b')] });
        return signJson(mine, name, key('a'));
      },
    ],
    ['was changed', (name) => ({ ...said(name, { keys: [key('a')] }), valid_until_ts: one.now() + 9 * DAY_MS })],
    ['lists no keys', (name) => said(name, { keys: [] })],
    ['has no time', (name) => said(name, { keys: [key('a')], extra: { valid_until_ts: 'soon' } })],
    ['is huge', (name) => said(name, { keys: [key('a')], extra: { padding: 'x'.repeat(70_000) } })],
    [
      'lists too many keys',
      (name) => {
        const old = Array.from({ length: 100 }, (_, n) => [key(`old_${n}`), n] as const);
        return said(name, { keys: [key('a')], old });
      },
    ],
  ];
  it.each<[string, (name: string) => JsonObject]>([
    ['what is not signed', (name) => ({ ...said(name, { keys: [key('a')] }), unsigned: { age: 1.5 } })],
    [
      'numbers among its signatures',
      (name) => {
        const mine = said(name, { keys: [key('a')] });
        const own = (mine['signatures'] as Record<string, JsonObject>)[name];
        return { ...mine, signatures: { [name]: { ...own, x: 1.5 }, other: 3 } };
      },
    ],
  ])('is none the worse for %s', async (_what, answer) => {
    const two = await peer((name) => answerJson(answer(name)));
    expect(await find(two.name, ['ed25519:a'])).toEqual(['ed25519:a']);
  });

  it('that has half a surrogate pair among its signatures is not believed, and does no harm', async () => {
    const two = await peer((name) => (_request, response) => {
      const mine = said(name, { keys: [key('a')] });
      const own = (mine['signatures'] as Record<string, JsonObject>)[name];
      response.end(JSON.stringify({ ...mine, signatures: { [name]: { ...own, x: '\ud800' } } }));
    });
    expect(await find(two.name, ['ed25519:a'])).toEqual([]);
  });

  it.each(refused)('that %s is not believed', async (_what, answer) => {
    const two = await peer((name) => answerJson(answer(name)));
    expect(await find(two.name, ['ed25519:a'])).toEqual([]);
    expect(two.requests).toHaveLength(1);
    expect(keyOfServer(one.context.reader, two.name, 'ed25519:a')).toBeUndefined();
  });

  it('does not make up keys of other algorithms, nor from what is no key', async () => {
    const odd = {
      'rsa:a': { key: 'AAAA' },
      'ed25519:bad id': { key: 'AAAA' },
      'ed25519:short': { key: 'AAAA' },
      __proto__: 1,
    };
    const good = key('a');
    const extra = { verify_keys: { ...odd, [good.keyId]: { key: encodeBase64(good.publicKey) } } };
    const two = await peer((name) => answerJson(said(name, { keys: [good], extra })));
    expect(await find(two.name, ['ed25519:a', 'ed25519:short', 'rsa:a'])).toEqual(['ed25519:a']);
  });
});

describe('a server that is not there', () => {
  it('costs one time-out, not one for each event', async () => {
    const name = nobody();
    const attempts = (): number => network.dialled.filter((place) => place === `${name}:8448`).length;
    for (let n = 0; n < 100; n += 1) expect(await find(name, [`ed25519:${n}`])).toEqual([]);
    expect(attempts()).toBe(1);
    one.advance(61_000);
    await find(name, ['ed25519:a']);
    expect(attempts()).toBe(2);
    one.advance(61_000);
    await find(name, ['ed25519:a']);
    expect(attempts()).toBe(2);
    one.advance(60_000);
    await find(name, ['ed25519:a']);
    expect(attempts()).toBe(3);
  });

  it('does not hold up whoever has no more patience', async () => {
    const hanging = Promise.withResolvers<void>();
    const two = await peer((name) => (request, response) => {
      void hanging.promise.then(() => answerJson(said(name, { keys: [key('a')] }))(request, response));
    });
    const { keys } = one.context.federation;
    const requests = [{ serverName: two.name, keyIds: ['ed25519:a'], validAtMs: 0 }];
    expect((await keys.keysFor(requests, 50)).get(two.name)?.size).toBe(0);
    const patient = keys.keysFor(requests);
    hanging.resolve();
    expect((await patient).get(two.name)?.size).toBe(1);
    expect(two.requests).toHaveLength(1);
  });

  it('that answers nonsense is not asked for ever either', async () => {
    const two = await peer(() => answerJson({ errcode: 'M_UNKNOWN' }, 400));
    for (let n = 0; n < 100; n += 1) await find(two.name, [`ed25519:${n}`]);
    expect(two.requests.length).toBeLessThanOrEqual(11);
  });
});

describe('a notary', () => {
  const notaryKey = key('notary');

  /** Has three.test be a notary that says `answers`; gives what it was asked. */
  async function notary(answers: () => readonly JsonObject[]): Promise<readonly JsonObject[]> {
    const asked: JsonObject[] = [];
    const made = await startTlsPeer((request, response) => {
      if (request.url === '/_matrix/key/v2/server') {
        answerJson(said('three.test', { keys: [notaryKey] }))(request, response);
        return;
      }
      void json(request).then((body) => {
        asked.push(body as JsonObject);
        answerJson({ server_keys: answers() })(request, response);
      });
    });
    closers.push(made.close);
    network.place('three.test', made.port);
    network.setReachable('three.test', true);
    return asked;
  }
  const vouched = (answer: JsonObject): JsonObject => signJson(answer, 'three.test', notaryKey);

  it('helps where the server is not there, for many servers in one request', async () => {
    const names = [nobody(), nobody(), nobody()];
    const asked = await notary(() => names.map((name) => vouched(said(name, { keys: [key('k')] }))));
    const requests = names.map((serverName) => ({ serverName, keyIds: ['ed25519:k'], validAtMs: 7 }));
    const found = await one.context.federation.keys.keysFor(requests);
    expect(names.map((name) => found.get(name)?.has('ed25519:k'))).toEqual([true, true, true]);
    const criteria = { 'ed25519:k': { minimum_valid_until_ts: 7 } };
    expect(asked).toEqual([{ server_keys: Object.fromEntries(names.map((name) => [name, criteria])) }]);
  });

  it('is asked first about many servers, which then are not asked themselves', async () => {
    const two = await peer((name) => answerJson(said(name, { keys: [key('k')] })));
    const names = [two.name, ...Array.from({ length: 120 }, nobody)];
    const asked = await notary(() => names.map((name) => vouched(said(name, { keys: [key('k')] }))));
    const dialledBefore = network.dialled.length;
    const requests = names.map((serverName) => ({ serverName, keyIds: ['ed25519:k'], validAtMs: 0 }));
    const found = await one.context.federation.keys.keysFor(requests);
    expect(names.filter((name) => !found.get(name)?.has('ed25519:k'))).toEqual([]);
    // In batches, and to nobody but the notary.
    expect(asked.map(({ server_keys: servers }) => Object.keys(servers as object).length)).toEqual([50, 50, 21]);
    expect(two.requests).toEqual([]);
    expect(new Set(network.dialled.slice(dialledBefore).map((place) => place.includes('three.test')))).toEqual(
      new Set([true]),
    );
  });

  it('is asked for all keys of a server where more are wanted than can be named', async () => {
    const name = nobody();
    const asked = await notary(() => [vouched(said(name, { keys: [key('k')] }))]);
    const made = Array.from({ length: 100 }, (_, n) => `ed25519:made_up_${n}`);
    // What others make up must not keep a key that is needed from being found.
    expect(await find(name, [...made, 'ed25519:k'])).toEqual(['ed25519:k']);
    expect(asked).toEqual([{ server_keys: { [name]: {} } }]);
  });

  it.each<[string, (name: string) => JsonObject]>([
    ['it did not sign', (name) => said(name, { keys: [key('k')] })],
    [
      'it signed with a key that is not its own',
      (name) =>
        signJson(said(name, { keys: [key('k')] }), 'three.test', {
          ...key('other'),
          keyId: notaryKey.keyId,
        }),
    ],
    ['the server did not sign', (name) => vouched({ ...said(name, { keys: [key('k')] }), signatures: {} })],
    ['it was not asked about', () => vouched(said('four.test', { keys: [key('k')] }))],
  ])('is not believed in what %s', async (_what, answer) => {
    const name = nobody();
    const asked = await notary(() => [answer(name)]);
    expect(await find(name, ['ed25519:k'])).toEqual([]);
    expect(asked).toHaveLength(1);
    expect(keyOfServer(one.context.reader, 'four.test', 'ed25519:k')).toBeUndefined();
  });

  it('cannot replace a key that the server itself gave', async () => {
    const two = await peer((name) => answerJson(said(name, { keys: [key('k')] })));
    await find(two.name, ['ed25519:k']);
    const forged = { ...key('forged'), keyId: 'ed25519:k' };
    await notary(() => [vouched(said(two.name, { keys: [forged], validUntilTs: one.now() + 6 * DAY_MS }))]);
    await two.close();
    one.advance(61_000);
    await find(two.name, ['ed25519:k'], one.now() + 5 * DAY_MS);
    expect(keyOfServer(one.context.reader, two.name, 'ed25519:k')?.publicKey).toEqual(key('k').publicKey);
  });

  it('that says the same again, or what does not count, adds nothing to the log', async () => {
    const two = await peer((name) =>
      answerJson(said(name, { keys: [key('k')], validUntilTs: Number.MAX_SAFE_INTEGER })),
    );
    await find(two.name, ['ed25519:k']);
    await two.close();
    const saying = { validUntilTs: Number.MAX_SAFE_INTEGER };
    const same = vouched(said(two.name, { keys: [key('k')], ...saying }));
    const forged = vouched(said(two.name, { keys: [{ ...key('forged'), keyId: 'ed25519:k' }], ...saying }));
    const asked = await notary(() => [same, forged]);
    one.advance(8 * DAY_MS);
    await find('three.test', ['ed25519:notary'], one.now());
    const before = one.log.head();
    await find(two.name, ['ed25519:k'], one.now());
    expect(asked).toHaveLength(1);
    expect(one.log.head()).toBe(before);
  });

  it('can say that the same key counts for longer', async () => {
    const two = await peer((name) => answerJson(said(name, { keys: [key('k')] })));
    await find(two.name, ['ed25519:k']);
    const laterMs = one.now() + 6 * DAY_MS;
    await notary(() => [vouched(said(two.name, { keys: [key('k')], validUntilTs: laterMs }))]);
    await two.close();
    one.advance(61_000);
    await find(two.name, ['ed25519:k'], one.now() + 5 * DAY_MS);
    expect(keyOfServer(one.context.reader, two.name, 'ed25519:k')?.validUntilTs).toBe(laterMs);
  });
});

describe('as a notary this server', () => {
  async function query(serverKeys: JsonObject): Promise<JsonObject[]> {
    const answer = await one.http.inject({
      method: 'POST',
      url: '/_matrix/key/v2/query',
      payload: JSON.stringify({ server_keys: serverKeys }),
    });
    expect(answer.statusCode).toBe(200);
    return answer.json().server_keys;
  }

  it('passes on what a server said, with both signatures and nobody else’s', async () => {
    const saying: JsonObject[] = [];
    const two = await peer((name) => {
      saying.push(signJson(said(name, { keys: [key('a')] }), 'stranger.test', key('x')));
      return answerJson(saying[0] ?? {});
    });
    const [answer] = await query({ [two.name]: {} });
    expect(answer).toMatchObject({ server_name: two.name, valid_until_ts: saying[0]?.['valid_until_ts'] });
    const signatures = answer?.['signatures'] as JsonObject;
    expect(Object.keys(signatures).sort()).toEqual([two.name, 'one.test']);
    expect(saying[0]?.['signatures']).toMatchObject({ [two.name]: signatures[two.name] });
  });

  it('answers for itself without asking', async () => {
    expect(await query({ 'one.test': {} })).toMatchObject([{ server_name: 'one.test' }]);
    expect(await query({})).toEqual([]);
    expect(await query({ 'not a server': {}, [nobody()]: {} })).toEqual([]);
  });

  it('asks again when half of an answer’s life is over, and tells the old one if that fails', async () => {
    let status = 200;
    const two = await peer((name) => answerJson(said(name, { keys: [key('a')] }), status));
    await query({ [two.name]: {} });
    one.advance(DAY_MS / 2 - 60_000);
    await query({ [two.name]: {} });
    expect(two.requests).toHaveLength(1);
    one.advance(120_000);
    status = 500;
    expect(await query({ [two.name]: {} })).toHaveLength(1);
    expect(two.requests).toHaveLength(2);
  });

  it('asks again after half a week, however long an answer is said to live', async () => {
    const validUntilTs = Number.MAX_SAFE_INTEGER;
    const two = await peer((name) => answerJson(said(name, { keys: [key('a')], validUntilTs })));
    await query({ [two.name]: {} });
    one.advance(3 * DAY_MS);
    await query({ [two.name]: {} });
    expect(two.requests).toHaveLength(1);
    one.advance(DAY_MS);
    await query({ [two.name]: {} });
    expect(two.requests).toHaveLength(2);
  });

  it('says no more at once than others read', async () => {
    const padding = 'x'.repeat(60_000);
    const large = await peer((name) => answerJson(said(name, { keys: [key('a')], extra: { padding } })));
    await query({ [large.name]: {} });
    // As two hundred servers would that say as much.
    const queries = Array.from({ length: 200 }, () => ({ serverName: large.name, keys: [], validUntilTs: 0 }));
    const answers = await one.context.federation.notary.answersTo(queries);
    const bytes = Buffer.byteLength(JSON.stringify(answers));
    expect(bytes).toBeGreaterThan(MAX_ANSWER_CHARACTERS / 2);
    expect(bytes).toBeLessThan(MAX_ANSWER_CHARACTERS * 1.1);
    expect(large.requests).toHaveLength(1);
  });

  it('does not ask again for a key of the past that it has', async () => {
    const validUntilTs = one.context.clock() - DAY_MS;
    const two = await peer((name) => answerJson(said(name, { keys: [key('a')], validUntilTs })));
    const wanted = { [two.name]: { 'ed25519:a': { minimum_valid_until_ts: validUntilTs } } };
    expect(await query(wanted)).toHaveLength(1);
    expect(await query(wanted)).toHaveLength(1);
    expect(two.requests).toHaveLength(1);
    await query({ [two.name]: { 'ed25519:a': { minimum_valid_until_ts: validUntilTs + 1 } } });
    expect(two.requests).toHaveLength(2);
  });
});

it('keeps no more keys of one server than it has room for', async () => {
  let batch = 0;
  const two = await peer((name) => {
    batch += 1;
    const old = Array.from({ length: 60 }, (_, n) => [key(`old_${batch}_${n}`), n] as const);
    return answerJson(said(name, { keys: [key('a')], old }));
  });
  for (let n = 0; n < 8; n += 1) {
    await one.context.federation.keys.refresh(two.name);
  }
  expect([...keysOfServer(one.context.reader, two.name)]).toHaveLength(MAX_KEYS_PER_SERVER);
});

it('of what a server makes up all the time so much is recorded, and no more', async () => {
  let batch = 0;
  const two = await peer((name) => {
    batch += 1;
    const old = Array.from({ length: 60 }, (_, n) => [key(`made_${batch}_${n}`), n] as const);
    return answerJson(said(name, { keys: [key('a')], old, extra: { padding: 'x'.repeat(50_000) } }));
  });
  const before = one.log.head();
  for (let n = 0; n < 30; n += 1) {
    await one.context.federation.keys.refresh(two.name);
    one.advance(30_000);
  }
  expect(two.requests.length).toBeGreaterThan(20);
  // Some 56 KiB each.
  expect(one.log.head() - before).toBeGreaterThan(2);
  expect(one.log.head() - before).toBeLessThan(8);
});

it('of servers that nobody here has to do with so much is recorded together, and others are heard all the same', async () => {
  const alone = await startServerOn(network, 'two.test', { federation: { verify_tls: false } });
  closers.push(() => alone.close());
  alone.advance(one.now() - alone.now());
  // Whoever has a domain has as many servers as they like.
  const padding = 'x'.repeat(60_000);
  const wildcard = await startTlsPeer((request, response) => {
    const name = String(request.headers.host);
    answerJson(said(name, { keys: [key('a')], extra: { padding } }))(request, response);
  });
  closers.push(wildcard.close);
  const count = Math.ceil(STRANGERS_BURST_KIB / 58) + 20;
  const names = Array.from({ length: count }, (_, n) => `n${n}.test`);
  for (const name of names) network.place(name, wildcard.port);
  const before = alone.log.head();
  const { keys } = alone.context.federation;
  await keys.keysFor(names.map((serverName) => ({ serverName, keyIds: ['ed25519:a'], validAtMs: 0 })));
  const recorded = alone.log.head() - before;
  expect(wildcard.requests).toHaveLength(count);
  expect(recorded).toBeGreaterThan(count / 2);
  expect(recorded).toBeLessThan(count);
  // Those who are in rooms with this one are no strangers.
  const alice = await one.register('alice');
  const bob = await alone.register('bob');
  const { room_id: roomId } = await alice.ok('POST', '/createRoom', { preset: 'public_chat' });
  alone.advance(STRANGERS_REFILL_MS * 20);
  await bob.ok('POST', `/join/${encodeURIComponent(String(roomId))}?via=one.test`, {});
  expect(keys.known('one.test', one.signingKey.keyId)).toBeDefined();
}, 120_000);

it('servers that never answer keep nobody waiting who is in a room with this one', async () => {
  const alone = await startServerOn(network, 'two.test', { federation: { verify_tls: false } });
  closers.push(() => alone.close());
  alone.advance(one.now() - alone.now());
  const alice = await one.register('alice2');
  const bob = await alone.register('bob');
  const { room_id: roomId } = await alice.ok('POST', '/createRoom', { preset: 'public_chat' });
  await bob.ok('POST', `/join/${encodeURIComponent(String(roomId))}?via=one.test`, {});
  const tarpit = await startTlsPeer(() => {});
  closers.push(tarpit.close);
  const { keys } = alone.context.federation;
  const hanging = Array.from({ length: MAX_FETCHES + MAX_WAITING_FETCHES + 50 }, (_, n) => `tarpit${n}.test`);
  for (const name of hanging) network.place(name, tarpit.port);
  const asked = hanging.map((name) => keys.refresh(name));
  // Those there is no room for are not waited for.
  await Promise.race(asked);
  const { keyId } = await one.context.federation.ownKeys.rotate();
  await keys.refresh('one.test');
  expect(keys.known('one.test', keyId)).toBeDefined();
  await tarpit.close();
}, 60_000);
