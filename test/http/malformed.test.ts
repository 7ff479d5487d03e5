/**
 * Every endpoint, asked all kinds of nonsense: whatever a client sends, the answer is a Matrix answer, and never a fault
 * of the server. New endpoints are covered by being registered.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { endpoints } from '#src/endpoints.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;
let roomId: string;

beforeAll(async () => {
  app = await startApplication({ registration: { open: true, token_required: false, shared_secret: 'secret' } });
  alice = await app.register('alice');
  roomId = String((await alice.ok('POST', '/createRoom', {})).room_id);
});

afterAll(() => app.close());

const BODIES: readonly (string | Buffer)[] = [
  '',
  'null',
  '[]',
  '7',
  '"text"',
  '{}',
  '{"half":',
  'NaN',
  Buffer.from([0xff, 0xfe, 0x00]),
  Buffer.from('{"a":"\xff"}', 'latin1'),
  '\ufeff{}',
  `{"a":${'['.repeat(50_000)}`,
  `{"a":${'['.repeat(900)}${']'.repeat(900)}}`,
  '{"__proto__":{"x":1},"constructor":null,"toString":7,"hasOwnProperty":[]}',
  '{"a":1e400,"b":-0,"c":0.5,"d":9007199254740993}',
  '{"\\ud800":"\\udfff"}',
  JSON.stringify({ long: 'x'.repeat(70_000) }),
];

/** Names that clients send, so that nonsense reaches behind the schemas. */
const KEYS = [
  'access_token',
  'admin',
  'auth',
  'content',
  'creation_content',
  'device_id',
  'devices',
  'display_name',
  'displayname',
  'event_id',
  'event_types',
  'filter',
  'generic_search_term',
  'identifier',
  'initial_device_display_name',
  'initial_state',
  'invite',
  'limit',
  'mac',
  'medium',
  'name',
  'new_password',
  'nonce',
  'password',
  'power_level_content_override',
  'preset',
  'reason',
  'refresh_token',
  'room',
  'room_alias_name',
  'room_id',
  'room_version',
  'since',
  'timeline',
  'timeout',
  'token',
  'topic',
  'typing',
  'type',
  'user',
  'user_id',
  'username',
  'visibility',
] as const;

const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e300,
  '',
  '\u0000',
  '\ud800',
  '@',
  '!x',
  '#a:b:c',
  [],
  [null],
  {},
  { a: {} },
];

const BODIES_WITH_KEYS = VALUES.map((value) => JSON.stringify(Object.fromEntries(KEYS.map((key) => [key, value]))));

/** Some of these are what the endpoint wants, so that more than the first check is reached. */
function paramValues(name: string): string[] {
  const nonsense = [
    '%00',
    '%2F',
    '%20',
    '!',
    '@:',
    '%F0%9F%A6%8A',
    'x'.repeat(300),
    'x'.repeat(3000),
    '..',
    '__proto__',
    '%EF%BF%BF',
  ];
  const right: Record<string, string> = {
    roomId: encodeURIComponent(roomId),
    roomIdOrAlias: encodeURIComponent(roomId),
    userId: encodeURIComponent(alice.userId),
    deviceId: alice.deviceId,
    eventType: 'm.room.power_levels',
    type: 'm.tag',
    receiptType: 'm.read',
  };
  const known = right[name];
  return known === undefined ? nonsense : [known, ...nonsense];
}

const QUERIES = [
  '',
  '?%ff=%ff&a=%',
  '?limit=-1&dir=x&from=x&to=x&since=x&timeout=x&filter=%7B&at=x&ts=x&width=x&height=x&method=x',
  '?limit=99999999999999999999&dir=b&from=s-1&since=s9e9&filter=%7B%22room%22%3A7%7D&timeout=0',
  '?limit=1&limit=2&dir=f&dir=b&since=&since=1&from=&filter=&filter=0&access_token=a&access_token=b&timeout=0',
  '?filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A-5%2C%22types%22%3A%5Bnull%5D%7D%7D%7D&timeout=0',
  `?filter=${'x'.repeat(5000)}&timeout=0`,
];

/** What an endpoint is asked under: its path with each parameter once each value, the others right or nonsense. */
function urlsOf(path: string): string[] {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
  const fill = (choose: (name: string, index: number) => string): string =>
    path.replace(/\{(\w+)\}/g, (_all, name: string) => choose(name, names.indexOf(name)));
  const most = Math.max(1, ...names.map((name) => paramValues(name).length));
  return Array.from({ length: most }, (_, turn) =>
    fill((name, index) => {
      const values = paramValues(name);
      // The first parameter stays right more often than not, so that the later ones matter.
      return values[index === 0 && turn % 2 === 0 ? 0 : turn % values.length] ?? '';
    }),
  );
}

const TEXT_KEYS = { errcode: expect.stringMatching(/^[A-Z]+_[A-Z_]+$/), error: expect.any(String) };

describe('malformed requests', () => {
  test.each(endpoints.map(({ method, path }) => [method, path] as const))('%s %s', async (method, path) => {
    const hasBody = method !== 'GET';
    const bodies = hasBody ? [...BODIES, ...BODIES_WITH_KEYS] : [undefined];
    const urls = urlsOf(path);
    // Each URL with one body, each body with one URL; all queries with the first.
    const asked = [
      ...urls.map((url, index) => [url, bodies[index % bodies.length]] as const),
      ...bodies.map((body, index) => [urls[index % urls.length] ?? path, body] as const),
      ...bodies.map((body) => [urls[0] ?? path, body] as const),
      ...QUERIES.map((query) => [`${urls[0]}${query}`, hasBody ? '{}' : undefined] as const),
    ];
    for (const [url, payload] of asked) {
      // What ends Alice's session or account would leave nobody to ask the rest.
      const { accessToken } = alice;
      const answer = await app.http.inject({
        method,
        url: url.includes('sync') && !url.includes('timeout') ? `${url}${url.includes('?') ? '&' : '?'}timeout=0` : url,
        headers: { authorization: `Bearer ${accessToken}` },
        ...(payload !== undefined && { payload }),
      });
      const seen = `${method} ${url.slice(0, 200)} ${String(payload).slice(0, 100)} → ${answer.statusCode} ${answer.body.slice(0, 200)}`;
      expect(answer.statusCode, seen).toBeLessThan(500);
      if (answer.statusCode >= 400 && answer.statusCode !== 401) expect(answer.json(), seen).toMatchObject(TEXT_KEYS);
      if (answer.statusCode === 401 && answer.json().errcode === 'M_UNKNOWN_TOKEN') alice = await again();
    }
  });
});

let registered = 0;
async function again(): Promise<TestClient> {
  registered += 1;
  const client = await app.register(`alice${registered}`);
  roomId = String((await client.ok('POST', '/createRoom', {})).room_id);
  return client;
}
