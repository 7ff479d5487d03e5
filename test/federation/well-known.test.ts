import type { RequestListener } from 'node:http';
import { Agent } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { lifetimeOf, WellKnown } from '#src/federation/well-known.ts';
import { connectorOf, safeDialer } from '#src/net/safe-connector.ts';
import { answerJson, startTlsPeer, TEST_CA, type TlsPeer } from '#test/support/tls-peer.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface World {
  readonly peer: TlsPeer;
  readonly wellKnown: WellKnown;
  advance(ms: number): void;
}

/** All hosts are one server, on port 443. */
async function world(answer: RequestListener): Promise<World> {
  const peer = await startTlsPeer(answer);
  const dial = safeDialer({ allowPrivate: true, ca: TEST_CA, lookup: async () => ['127.0.0.1'] });
  const agent = new Agent({ connect: connectorOf((target) => dial({ ...target, port: peer.port })) });
  closers.push(peer.close, () => agent.destroy());
  let nowMs = Date.UTC(2026, 0, 1);
  const wellKnown = new WellKnown({ dispatcher: () => agent, clock: () => nowMs });
  return {
    peer,
    wellKnown,
    advance: (ms) => {
      nowMs += ms;
    },
  };
}

const delegation = answerJson({ 'm.server': 'matrix.example:443' });

describe('a delegation', () => {
  it('is what the domain says, whatever it calls it', async () => {
    const { wellKnown, peer } = await world((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('{"m.server":"matrix.example:443"}');
    });
    expect(await wellKnown.delegationOf('one.test')).toBe('matrix.example:443');
    expect(peer.requests).toEqual(['GET /.well-known/matrix/server']);
  });

  it.each<[string, RequestListener]>([
    ['there is none', answerJson({}, 404)],
    ['it is no JSON', (_request, response) => response.end('matrix.example')],
    ['it names nothing', answerJson({})],
    ['it names no server', answerJson({ 'm.server': 'matrix.example/x' })],
    ['it is no text', answerJson({ 'm.server': 8448 })],
    ['it is too large', answerJson({ 'm.server': 'matrix.example', padding: 'x'.repeat(51 * 1024) })],
    [
      'it never ends',
      (_request, response) => {
        const write = (): void => {
          if (!response.destroyed) response.write(' '.repeat(10_000), write);
        };
        write();
      },
    ],
  ])('is none if %s', async (_why, answer) => {
    const { wellKnown } = await world(answer);
    expect(await wellKnown.delegationOf('one.test')).toBeUndefined();
  });

  it.each(['1.2.3.4.5', '1.2', '0x7f.1', '2130706433', '...'])(
    'is none for %s, which DNS does not know, and nobody is asked',
    async (host) => {
      const { wellKnown, peer } = await world(delegation);
      expect(await wellKnown.delegationOf(host)).toBeUndefined();
      expect(peer.connections).toBe(host === '...' ? 1 : 0);
    },
  );

  it('is none if the certificate is not for the domain', async () => {
    const { wellKnown, peer } = await world(delegation);
    expect(await wellKnown.delegationOf('somebody.else')).toBeUndefined();
    expect(peer.requests).toEqual([]);
  });
});

describe('redirects', () => {
  const to =
    (location: string): RequestListener =>
    ({ url }, response) => {
      if (url === '/.well-known/matrix/server') response.writeHead(308, { location }).end();
      else delegation({} as never, response);
    };

  it.each(['/elsewhere', 'https://two.test/elsewhere', 'elsewhere?x=1'])('are followed to %s', async (location) => {
    const { wellKnown } = await world(to(location));
    expect(await wellKnown.delegationOf('one.test')).toBe('matrix.example:443');
  });

  it.each(['http://one.test/elsewhere', 'ftp://one.test/', 'https://user:pw@one.test/elsewhere', '', 'https://'])(
    'are not followed to %j',
    async (location) => {
      const { wellKnown, peer } = await world(to(location));
      expect(await wellKnown.delegationOf('one.test')).toBeUndefined();
      expect(peer.requests).toHaveLength(1);
    },
  );

  it('that lead back are noticed', async () => {
    const { wellKnown, peer } = await world((request, response) => {
      const location = request.url === '/a' ? '/.well-known/matrix/server' : '/a';
      response.writeHead(302, { location }).end();
    });
    expect(await wellKnown.delegationOf('one.test')).toBeUndefined();
    expect(peer.requests).toHaveLength(2);
  });

  it('that lead on and on end', async () => {
    let count = 0;
    const { wellKnown } = await world((_request, response) => {
      count += 1;
      response.writeHead(302, { location: `/${count}` }).end();
    });
    expect(await wellKnown.delegationOf('one.test')).toBeUndefined();
    expect(count).toBe(6);
  });
});

describe('how long it counts', () => {
  const now = Date.UTC(2026, 0, 1);
  it.each<[Record<string, string>, number]>([
    [{}, 24 * HOUR_MS],
    [{ 'cache-control': 'public, max-age=3600' }, HOUR_MS],
    [{ 'cache-control': 'MAX-AGE="7200"' }, 2 * HOUR_MS],
    [{ 'cache-control': 'max-age=99999999' }, 48 * HOUR_MS],
    [{ 'cache-control': 'max-age=0' }, 5 * MINUTE_MS],
    [{ 'cache-control': 'no-store, max-age=3600' }, 5 * MINUTE_MS],
    [{ 'cache-control': 'max-age=soon' }, 24 * HOUR_MS],
    [{ 'cache-control': 'max-age=3600', expires: 'Fri, 02 Jan 2026 00:00:00 GMT' }, HOUR_MS],
    [{ expires: 'Thu, 01 Jan 2026 10:00:00 GMT' }, 10 * HOUR_MS],
    [{ 'cache-control': 'max-age=7200', age: '3600' }, HOUR_MS],
    [{ 'cache-control': 'max-age=7200', age: '9000' }, 5 * MINUTE_MS],
    [{ 'cache-control': 'max-age=7200', age: 'old' }, 2 * HOUR_MS],
    [{ expires: 'Thu, 01 Jan 2037 10:00:00 GMT', date: 'Thu, 01 Jan 2037 09:00:00 GMT' }, HOUR_MS],
    [{ expires: 'Thu, 01 Jan 2026 10:00:00 GMT', date: 'now' }, 10 * HOUR_MS],
    [{ expires: 'Thu, 01 Jan 2037 10:00:00 GMT' }, 48 * HOUR_MS],
    [{ expires: '0' }, 5 * MINUTE_MS],
  ])('%j', (headers, expected) => {
    expect(lifetimeOf(headers, now)).toBe(expected);
  });

  it('is kept to, and asked once by many at the same time', async () => {
    const { wellKnown, peer, advance } = await world(delegation);
    await Promise.all([wellKnown.delegationOf('one.test'), wellKnown.delegationOf('ONE.test')]);
    advance(24 * HOUR_MS - 1);
    await wellKnown.delegationOf('one.test');
    expect(peer.requests).toHaveLength(1);
    advance(1);
    await wellKnown.delegationOf('one.test');
    expect(peer.requests).toHaveLength(2);
  });

  it('is longer and longer for a domain that has none, up to an hour', async () => {
    const { wellKnown, peer, advance } = await world(answerJson({}, 404));
    const waits = [5, 10, 20, 40, 60, 60];
    await wellKnown.delegationOf('one.test');
    for (const [index, minutes] of waits.entries()) {
      advance(minutes * MINUTE_MS - 1);
      await wellKnown.delegationOf('one.test');
      expect(peer.requests).toHaveLength(index + 1);
      advance(1);
      await wellKnown.delegationOf('one.test');
      expect(peer.requests).toHaveLength(index + 2);
    }
  });

  it('goes on while the domain is down, but not for ever', async () => {
    let status = 200;
    const { wellKnown, advance } = await world((request, response) => {
      answerJson({ 'm.server': 'matrix.example' }, status)(request, response);
    });
    await wellKnown.delegationOf('one.test');
    status = 503;
    advance(25 * HOUR_MS);
    expect(await wellKnown.delegationOf('one.test')).toBe('matrix.example');
    advance(24 * HOUR_MS);
    expect(await wellKnown.delegationOf('one.test')).toBeUndefined();
  });

  it('ends at once when the domain says that there is none any more', async () => {
    let status = 200;
    const { wellKnown, advance } = await world((request, response) => {
      answerJson({ 'm.server': 'matrix.example' }, status)(request, response);
    });
    await wellKnown.delegationOf('one.test');
    status = 404;
    advance(25 * HOUR_MS);
    expect(await wellKnown.delegationOf('one.test')).toBeUndefined();
  });
});
