/** Whose keys are found, from whom, and how often anybody is asked. */
import type { RequestListener } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyOfServer } from '#projections/federation/keys.ts';
import { encodeBase64 } from '#protocol/base64.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '#protocol/signing.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { answerJson, startTlsPeer, type TlsPeer } from '#test/support/tls-peer.ts';

const DAY_MS = 24 * 60 * 60_000;

let network: TestNetwork;
let one: TestServer;
const closers: (() => Promise<void>)[] = [];

beforeEach(() => {
  network = new TestNetwork();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(federation: object = {}): Promise<void> {
  one = await startServerOn(network, 'one.test', { federation });
  closers.push(() => one.close());
}

async function peer(name: 'two.test' | 'three.test', answer: RequestListener): Promise<TlsPeer> {
  const made = await startTlsPeer(answer);
  closers.push(made.close);
  network.place(name, made.port);
  return made;
}

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
    await start();
    const two = await peer('two.test', (request, response) => {
      answerJson(said('two.test', { keys: [key('a')], old: [[key('b'), 5]] }))(request, response);
    });
    const { keys } = one.context.federation;
    const wanted = Array.from({ length: 50 }, () => [
      { serverName: 'two.test', keyIds: ['ed25519:a'], validAtMs: one.now() },
      { serverName: 'two.test', keyIds: ['ed25519:b'], validAtMs: one.now() },
    ]);
    const found = await Promise.all(wanted.map((requests) => keys.keysFor(requests)));
    expect(two.requests).toEqual(['GET /_matrix/key/v2/server']);
    for (const each of found) {
      expect(each.get('two.test')?.get('ed25519:a')?.publicKey).toEqual(key('a').publicKey);
      expect(each.get('two.test')?.get('ed25519:b')).toMatchObject({ validity: { expiredTs: 5 } });
    }
    expect(keyOfServer(one.context.reader, 'two.test', 'ed25519:a')).toMatchObject({ isDirect: true });
    const records = [];
    for await (const { kind } of one.log.readStream('server-keys-seen')) records.push(kind);
    expect(records).toEqual(['federation.keys_seen']);
  });

  it('is asked for again when a key is wanted for longer, or is not in it', async () => {
    await start();
    let keys = [key('a')];
    const two = await peer('two.test', (request, response) => {
      answerJson(said('two.test', { keys }))(request, response);
    });
    expect(await find('two.test', ['ed25519:a'])).toEqual(['ed25519:a']);
    keys = [key('c')];
    // The server has another key now; what it signed before can still be verified.
    expect(await find('two.test', ['ed25519:c', 'ed25519:a'])).toEqual(['ed25519:c', 'ed25519:a']);
    expect(two.requests).toHaveLength(2);
    const wanted = one.now() + 2 * DAY_MS;
    expect(await find('two.test', ['ed25519:c'], wanted)).toEqual(['ed25519:c']);
    // It said so a moment ago.
    expect(two.requests).toHaveLength(2);
    one.advance(61_000);
    expect(await find('two.test', ['ed25519:c'], wanted)).toEqual(['ed25519:c']);
    expect(two.requests).toHaveLength(3);
  });

  const refused: [string, () => JsonObject][] = [
    ['is about another server', () => said('three.test', { keys: [key('a')] })],
    ['is not signed', () => ({ ...said('two.test', { keys: [key('a')] }), signatures: {} })],
    [
      'is signed with another key',
      () => {
        const mine = said('two.test', { keys: [key('a')] });
        const other = signJson({ ...mine, signatures: {} }, 'two.test', { ...key('b'), keyId: 'ed25519:a' });
        return other;
      },
    ],
    [
      'lists a key that did not sign',
      () => {
        const { signatures, ...mine } = said('two.test', { keys: [key('a'), key('b')] });
        return signJson(mine, 'two.test', key('a'));
      },
    ],
    ['was changed', () => ({ ...said('two.test', { keys: [key('a')] }), valid_until_ts: one.now() + 9 * DAY_MS })],
    ['lists no keys', () => said('two.test', { keys: [] })],
    ['has no time', () => said('two.test', { keys: [key('a')], extra: { valid_until_ts: 'soon' } })],
    ['is huge', () => said('two.test', { keys: [key('a')], extra: { padding: 'x'.repeat(70_000) } })],
    [
      'lists too many keys',
      () => {
        const old = Array.from({ length: 100 }, (_, n) => [key(`old_${n}`), n] as const);
        return said('two.test', { keys: [key('a')], old });
      },
    ],
  ];
  it.each(refused)('that %s is not believed', async (_what, answer) => {
    await start();
    await peer('two.test', (request, response) => answerJson(answer())(request, response));
    expect(await find('two.test', ['ed25519:a'])).toEqual([]);
    expect(keyOfServer(one.context.reader, 'two.test', 'ed25519:a')).toBeUndefined();
  });

  it('does not make up keys of other algorithms, nor from what is no key', async () => {
    await start();
    const odd = {
      'rsa:a': { key: 'AAAA' },
      'ed25519:bad id': { key: 'AAAA' },
      'ed25519:short': { key: 'AAAA' },
      __proto__: 1,
    };
    const good = key('a');
    await peer('two.test', (request, response) => {
      const extra = { verify_keys: { ...odd, [good.keyId]: { key: encodeBase64(good.publicKey) } } };
      answerJson(said('two.test', { keys: [good], extra }))(request, response);
    });
    expect(await find('two.test', ['ed25519:a', 'ed25519:short', 'rsa:a'])).toEqual(['ed25519:a']);
  });
});

describe('a server that is not there', () => {
  it('costs one time-out, not one for each event', async () => {
    await start();
    const attempts = (): number =>
      network.dialled.filter((place) => place.startsWith('host-of-_matrix-fed._tcp.two.test')).length;
    network.place('two.test', 1);
    for (let n = 0; n < 100; n += 1) expect(await find('two.test', [`ed25519:${n}`])).toEqual([]);
    expect(attempts()).toBe(1);
    one.advance(61_000);
    await find('two.test', ['ed25519:a']);
    expect(attempts()).toBe(2);
    one.advance(61_000);
    await find('two.test', ['ed25519:a']);
    expect(attempts()).toBe(2);
    one.advance(60_000);
    await find('two.test', ['ed25519:a']);
    expect(attempts()).toBe(3);
  });

  it('that answers nonsense is not asked for ever either', async () => {
    await start();
    const two = await peer('two.test', answerJson({ errcode: 'M_UNKNOWN' }, 400));
    for (let n = 0; n < 100; n += 1) await find('two.test', [`ed25519:${n}`]);
    expect(two.requests.length).toBeLessThanOrEqual(11);
  });
});

describe('a notary', () => {
  const notaryKey = key('notary');

  /** A notary that knows what `answers` says, and counts who was asked about. */
  function notary(answers: () => readonly JsonObject[], asked: JsonObject[] = []): RequestListener {
    return (request, response) => {
      if (request.url === '/_matrix/key/v2/server') {
        answerJson(said('three.test', { keys: [notaryKey] }))(request, response);
        return;
      }
      void json(request).then((body) => {
        asked.push(body as JsonObject);
        answerJson({ server_keys: answers() })(request, response);
      });
    };
  }
  const vouched = (answer: JsonObject): JsonObject => signJson(answer, 'three.test', notaryKey);

  it('helps where the server is not there, for many servers in one request', async () => {
    await start({ trusted_key_servers: ['three.test'] });
    const asked: JsonObject[] = [];
    const names = ['a.test', 'b.test', 'c.test'];
    await peer(
      'three.test',
      notary(() => names.map((name) => vouched(said(name, { keys: [key('k')] }))), asked),
    );
    const requests = names.map((serverName) => ({ serverName, keyIds: ['ed25519:k'], validAtMs: 7 }));
    const found = await one.context.federation.keys.keysFor(requests);
    expect(names.map((name) => found.get(name)?.has('ed25519:k'))).toEqual([true, true, true]);
    const criteria = { 'ed25519:k': { minimum_valid_until_ts: 7 } };
    expect(asked).toEqual([{ server_keys: Object.fromEntries(names.map((name) => [name, criteria])) }]);
  });

  it.each<[string, () => JsonObject]>([
    ['it did not sign', () => said('two.test', { keys: [key('k')] })],
    [
      'it signed with a key that is not its own',
      () =>
        signJson(said('two.test', { keys: [key('k')] }), 'three.test', {
          ...key('other'),
          keyId: notaryKey.keyId,
        }),
    ],
    ['the server did not sign', () => vouched({ ...said('two.test', { keys: [key('k')] }), signatures: {} })],
    ['it was not asked about', () => vouched(said('four.test', { keys: [key('k')] }))],
  ])('is not believed in what %s', async (_what, answer) => {
    await start({ trusted_key_servers: ['three.test'] });
    await peer(
      'three.test',
      notary(() => [answer()]),
    );
    expect(await find('two.test', ['ed25519:k'])).toEqual([]);
    expect(keyOfServer(one.context.reader, 'four.test', 'ed25519:k')).toBeUndefined();
  });

  it('cannot replace a key that the server itself gave', async () => {
    await start({ trusted_key_servers: ['three.test'] });
    await peer('two.test', (request, response) =>
      answerJson(said('two.test', { keys: [key('k')] }))(request, response),
    );
    await find('two.test', ['ed25519:k']);
    const forged = { ...key('forged'), keyId: 'ed25519:k' };
    await peer(
      'three.test',
      notary(() => [vouched(said('two.test', { keys: [forged], validUntilTs: one.now() + 6 * DAY_MS }))]),
    );
    network.setReachable('two.test', false);
    one.advance(61_000);
    await find('two.test', ['ed25519:k'], one.now() + 5 * DAY_MS);
    expect(keyOfServer(one.context.reader, 'two.test', 'ed25519:k')?.publicKey).toEqual(key('k').publicKey);
  });

  it('can say that the same key counts for longer', async () => {
    await start({ trusted_key_servers: ['three.test'] });
    await peer('two.test', (request, response) =>
      answerJson(said('two.test', { keys: [key('k')] }))(request, response),
    );
    await find('two.test', ['ed25519:k']);
    const laterMs = one.now() + 6 * DAY_MS;
    await peer(
      'three.test',
      notary(() => [vouched(said('two.test', { keys: [key('k')], validUntilTs: laterMs }))]),
    );
    network.setReachable('two.test', false);
    one.advance(61_000);
    await find('two.test', ['ed25519:k'], one.now() + 5 * DAY_MS);
    expect(keyOfServer(one.context.reader, 'two.test', 'ed25519:k')?.validUntilTs).toBe(laterMs);
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
    await start();
    const saying = signJson(said('two.test', { keys: [key('a')] }), 'stranger.test', key('x'));
    await peer('two.test', answerJson(saying));
    const [answer] = await query({ 'two.test': {} });
    expect(answer).toMatchObject({ server_name: 'two.test', valid_until_ts: saying['valid_until_ts'] });
    const signatures = answer?.['signatures'] as JsonObject;
    expect(Object.keys(signatures).sort()).toEqual(['one.test', 'two.test']);
    expect(signatures['two.test']).toEqual((saying['signatures'] as JsonObject)['two.test']);
  });

  it('answers for itself without asking', async () => {
    await start();
    expect(await query({ 'one.test': {} })).toMatchObject([{ server_name: 'one.test' }]);
    expect(await query({})).toEqual([]);
    expect(await query({ 'not a server': {}, 'nobody.test': {} })).toEqual([]);
  });

  it('asks again when half of an answer’s life is over, and tells the old one if that fails', async () => {
    await start();
    let status = 200;
    const two = await peer('two.test', (request, response) => {
      answerJson(said('two.test', { keys: [key('a')] }), status)(request, response);
    });
    await query({ 'two.test': {} });
    one.advance(DAY_MS / 2 - 60_000);
    await query({ 'two.test': {} });
    expect(two.requests).toHaveLength(1);
    one.advance(120_000);
    status = 500;
    expect(await query({ 'two.test': {} })).toHaveLength(1);
    expect(two.requests).toHaveLength(2);
  });
});

it('keeps no more keys of one server than it has room for', async () => {
  await start();
  let batch = 0;
  await peer('two.test', (request, response) => {
    batch += 1;
    const old = Array.from({ length: 60 }, (_, n) => [key(`old_${batch}_${n}`), n] as const);
    answerJson(said('two.test', { keys: [key('a')], old }))(request, response);
  });
  for (let n = 0; n < 8; n += 1) {
    await one.context.federation.keys.refresh('two.test');
  }
  const { keysOfServer, MAX_KEYS_PER_SERVER } = await import('#projections/federation/keys.ts');
  expect([...keysOfServer(one.context.reader, 'two.test')]).toHaveLength(MAX_KEYS_PER_SERVER);
});
