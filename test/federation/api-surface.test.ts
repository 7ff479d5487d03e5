/** Every operation of the server-server API of v1.19: that it is there, and who is answered. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorize } from '#src/federation/signed-request.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

/**
 * An operation as the specification has it, from the OpenAPI files in its `data/api/server-server`. `timestamp_to_event` asks for
 * an access token there; every server signs it, as it does all else.
 */
interface Operation {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly path: string;
  readonly auth: 'server' | 'none';
}

const table: readonly Operation[] = JSON.parse(
  readFileSync(new URL('../fixtures/federation-api/operations.json', import.meta.url), 'utf8'),
);
/** Gone from the specification, and still asked by older servers. */
const OLDER: readonly Operation[] = [
  { method: 'PUT', path: '/_matrix/federation/v1/send_join/{roomId}/{eventId}', auth: 'server' },
  { method: 'PUT', path: '/_matrix/federation/v1/send_leave/{roomId}/{eventId}', auth: 'server' },
];
/** A query of any other type than the known ones. */
const ANY_QUERY = '/_matrix/federation/v1/query/{queryType}';

const operations = [...table, ...OLDER].map(
  (operation) => [`${operation.method} ${operation.path}`, operation] as const,
);

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test', { policy_server: { enabled: true } });
  two = await startServerOn(network, 'two.test');
});
afterAll(async () => {
  await one.close();
  await two.close();
});

/** Something for each parameter of a path. */
const PARAMETERS: Readonly<Record<string, string>> = {
  roomId: '!nowhere:one.test',
  userId: '@alice:two.test',
  eventId: '$nothing',
  serverName: 'one.test',
};
const urlOf = ({ path }: Operation): string =>
  path.replace(/\{(\w+)\}/g, (_whole, name: string) => encodeURIComponent(PARAMETERS[name] ?? 'thing'));

async function ask({ method, path }: Operation, url: string, destination: string | undefined) {
  const content = method === 'GET' ? undefined : '{}';
  const parts = { method, uri: url, origin: 'two.test', content };
  const { statusCode, body } = await one.http.inject({
    method,
    url,
    headers: { ...(destination && { authorization: authorize({ ...parts, destination }, two.signingKey) }) },
    ...(content && { payload: content }),
  });
  expect(statusCode, path).toBeLessThan(500);
  const { errcode } = JSON.parse(body || '{}');
  return `${statusCode} ${errcode ?? ''}`.trim();
}

it('the table is that of the specification', () => {
  expect(table).toHaveLength(36);
  expect(new Set(operations.map(([name]) => name)).size).toBe(38);
});

describe('is there for servers that sign what they ask', () => {
  it.each(operations)('%s', async (_name, operation) => {
    const answer = await ask(operation, urlOf(operation), 'one.test');
    if (operation.path === ANY_QUERY) expect(answer).toBe('404 M_UNRECOGNIZED');
    else expect(answer).not.toMatch(/M_UNRECOGNIZED|M_UNAUTHORIZED/);
  });
});

describe('is for those who sign it, where the specification says so', () => {
  it.each(operations)('%s', async (_name, operation) => {
    const [unsigned, forAnother] = [
      await ask(operation, urlOf(operation), undefined),
      await ask(operation, urlOf(operation), 'three.test'),
    ];
    if (operation.auth === 'none') {
      expect([unsigned, forAnother].join()).not.toMatch(/M_UNRECOGNIZED|M_UNAUTHORIZED/);
    } else {
      expect([unsigned, forAnother]).toEqual(['401 M_UNAUTHORIZED', '401 M_UNAUTHORIZED']);
    }
  });
});

describe('has no other methods', () => {
  it.each(operations)('%s', async (_name, operation) => {
    const { statusCode, headers, body } = await one.http.inject({ method: 'PATCH', url: urlOf(operation) });
    expect([statusCode, JSON.parse(body).errcode]).toEqual([405, 'M_UNRECOGNIZED']);
    expect(String(headers.allow).split(', ')).toContain(operation.method);
  });
});

it('what policy servers answer is not there where the server is none', async () => {
  const { statusCode, body } = await two.http.inject({
    method: 'POST',
    url: '/_matrix/policy/v1/sign',
    payload: '{}',
  });
  expect([statusCode, JSON.parse(body).errcode]).toEqual([404, 'M_UNRECOGNIZED']);
});
