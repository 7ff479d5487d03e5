/** The client against servers that lie, dawdle and break. */
import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { decodeBase64 } from '#protocol/base64.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { verifySignature } from '#protocol/signing.ts';
import { serverTopic } from '#src/bus/bus.ts';
import { parseServerAuthorization } from '#src/federation/authorization-header.ts';
import { type FederationClient, type FederationRequest, federationPath } from '#src/federation/client.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { answerJson, startTlsPeer, type TLS_FILES, type TlsPeer } from '#test/support/tls-peer.ts';

const network = new TestNetwork();
let one: TestServer;
let client: FederationClient;
let closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  client = one.context.federation.client;
});
afterAll(() => one.close());
afterEach(async () => {
  for (const close of closers) await close();
  closers = [];
  one.context.federation.destinations.alive('two.test');
});

async function two(answer: RequestListener, certificate?: keyof typeof TLS_FILES): Promise<TlsPeer> {
  const peer = await startTlsPeer(answer, certificate);
  closers.push(peer.close);
  network.place('two.test', peer.port);
  // Where the name leads is looked up anew: the last test's server is gone.
  forgetRoute();
  return peer;
}

function forgetRoute(): void {
  one.advance(6 * 60_000);
}

function get(more: Partial<FederationRequest> = {}): Promise<unknown> {
  return client.request({ destination: 'two.test', method: 'GET', path: '/_matrix/federation/v1/x?a=1', ...more });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  return text(request);
}

describe('a request', () => {
  it('carries a signature over method, path, query, both names and the body, and the names that were discovered', async () => {
    const seen: {
      headers: IncomingMessage['headers'];
      body: string;
      method: string | undefined;
      url: string | undefined;
    }[] = [];
    const peer = await two((request, response) => {
      void bodyOf(request).then((body) => {
        const { headers, method, url } = request;
        seen.push({ headers, body, method, url });
        response.end('{}');
      });
    });
    const path = federationPath`/_matrix/federation/v1/event/${'$a/b?c'}`;
    await client.request({ destination: 'two.test', method: 'PUT', path, content: { b: 1, a: ['é', 1.5] } });
    const [sent] = seen;
    expect(sent).toMatchObject({ method: 'PUT', url: '/_matrix/federation/v1/event/%24a%2Fb%3Fc' });
    expect(sent?.headers).toMatchObject({ host: 'two.test', 'content-type': 'application/json' });
    expect(peer.serverNames).toEqual(['two.test']);
    expect(JSON.parse(sent?.body ?? '')).toEqual({ b: 1, a: ['é', 1.5] });
    const credentials = parseServerAuthorization(sent?.headers.authorization ?? '');
    expect(credentials).toMatchObject({ origin: 'one.test', destination: 'two.test', keyId: one.signingKey.keyId });
    const signed = {
      method: 'PUT',
      uri: sent?.url,
      origin: 'one.test',
      destination: 'two.test',
      content: JSON.parse(sent?.body ?? ''),
    };
    const signature = decodeBase64(credentials?.signature ?? '') ?? new Uint8Array();
    expect(verifySignature(Buffer.from(canonicalJson(signed, 'loose')), signature, one.signingKey.publicKey)).toBe(
      true,
    );
  });

  it('uses a connection that is there', async () => {
    const peer = await two(answerJson({ ok: true }));
    for (let n = 0; n < 5; n += 1) expect(await get()).toEqual({ ok: true });
    // The first may not be free yet when the second request goes out.
    expect(peer.connections).toBeLessThanOrEqual(2);
  });

  it('is sent again where the other side closed the idle connection at that moment', async () => {
    let count = 0;
    const peer = await two((request, response) => {
      count += 1;
      if (count === 5) request.socket.destroy();
      else response.end('{}');
    });
    for (let n = 0; n < 5; n += 1) expect(await get()).toEqual({});
    expect(peer.requests).toHaveLength(6);
  });

  it('is not sent again where a fresh connection breaks', async () => {
    const peer = await two((request) => request.socket.destroy());
    await expect(get()).rejects.toMatchObject({ kind: 'unreachable' });
    expect(peer.requests).toHaveLength(1);
  });

  it('waits for its turn: only so many are under way', async () => {
    const waiting: (() => void)[] = [];
    let arrived = Promise.withResolvers<void>();
    const peer = await two((_request, response) => {
      waiting.push(() => response.end('{}'));
      if (waiting.length === 8) arrived.resolve();
    });
    const all = Array.from({ length: 20 }, () => get());
    await arrived.promise;
    expect([waiting.length, peer.connections]).toEqual([8, 8]);
    arrived = Promise.withResolvers();
    while (peer.requests.length < 20 || waiting.length > 0) {
      waiting.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await Promise.all(all)).toHaveLength(20);
    expect(peer.connections).toBe(8);
  });

  it('is not even tried when too many wait', async () => {
    await two(() => {});
    const stopper = new AbortController();
    const waiting = Array.from({ length: 208 }, () => get({ signal: stopper.signal }).catch(() => {}));
    await expect(get()).rejects.toMatchObject({ kind: 'busy' });
    stopper.abort();
    await Promise.all(waiting);
  });

  it('can be broken off', async () => {
    const peer = await two(() => {});
    const stopper = new AbortController();
    const asked = get({ signal: stopper.signal });
    while (peer.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const reason = new Error('enough');
    stopper.abort(reason);
    await expect(asked).rejects.toBe(reason);
    expect(one.context.federation.destinations.troubleOf('two.test')).toBeUndefined();
  });

  it.each(['two.test/x', '', 'a b'])('does not go to %j, which is no server', async (destination) => {
    await expect(get({ destination })).rejects.toMatchObject({ kind: 'refused' });
  });

  it('that cannot be written down says nothing about the other server', async () => {
    await two(answerJson({}));
    const content = { body: '\ud800' };
    await expect(get({ method: 'POST', content })).rejects.toMatchObject({ problem: 'lone_surrogate' });
    expect(await get()).toEqual({});
  });

  it('does not go to the server itself', async () => {
    await expect(get({ destination: 'one.test' })).rejects.toMatchObject({ kind: 'refused' });
  });
});

describe('an answer', () => {
  const drip: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const timer = setInterval(() => response.write(' '), 5);
    response.on('close', () => clearInterval(timer));
  };
  const flood: RequestListener = (_request, response) => {
    response.writeHead(200);
    const write = (): void => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
      if (!response.destroyed) response.once('drain', write);
    };
    write();
  };

  it('that does not come is not waited for', async () => {
    await two(() => {});
    await expect(get({ deadlineMs: 80 })).rejects.toMatchObject({ kind: 'timed_out' });
  });

  it('that never ends is cut off at the deadline', async () => {
    await two(drip);
    await expect(get({ deadlineMs: 120 })).rejects.toMatchObject({ kind: 'timed_out' });
  });

  it('whose head never ends is cut off at the deadline', async () => {
    await two((request) => {
      request.socket.write('HTTP/1.1 200 OK\r\n');
      const timer = setInterval(() => request.socket.write('X-A: b\r\n'), 5);
      request.socket.on('close', () => clearInterval(timer));
    });
    await expect(get({ deadlineMs: 120 })).rejects.toMatchObject({ kind: 'timed_out' });
  });

  it('that is announced as too large is not read', async () => {
    await two((_request, response) => {
      response.writeHead(200, { 'content-length': '999999999' });
      response.write('{');
    });
    await expect(get({ maxAnswerBytes: 1000 })).rejects.toMatchObject({ kind: 'bad_answer' });
  });

  it('that becomes too large is not read on', async () => {
    await two(flood);
    await expect(get({ maxAnswerBytes: 200_000 })).rejects.toMatchObject({ kind: 'bad_answer' });
  });

  it('with too large a head is none', async () => {
    await two((_request, response) => {
      response.writeHead(200, { 'x-large': 'x'.repeat(40_000) });
      response.end('{}');
    });
    await expect(get()).rejects.toMatchObject({ kind: 'bad_answer' });
  });

  it.each<[string, string | Buffer]>([
    ['is no JSON', '<html>'],
    ['is cut short', '{"a":'],
    ['is no object', '[]'],
    ['is empty', ''],
    ['is no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['nests too deep', `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`],
  ])('that %s is a bad one', async (_what, body) => {
    await two((_request, response) => response.end(body));
    await expect(get()).rejects.toMatchObject({ kind: 'bad_answer' });
  });

  it('that is compressed, which nobody asked for, is a bad one', async () => {
    await two((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(gzipSync('{}'));
    });
    await expect(get()).rejects.toMatchObject({ kind: 'bad_answer' });
  });

  it('that is no HTTP is a bad one', async () => {
    await two((request) => request.socket.end('SSH-2.0-OpenSSH\r\n'));
    await expect(get()).rejects.toMatchObject({ kind: 'bad_answer' });
  });

  it('that breaks off says that the server is not well', async () => {
    await two((request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{', () => request.socket.destroy());
    });
    await expect(get()).rejects.toMatchObject({ kind: 'unreachable', isServerDown: true });
  });

  it('that leads elsewhere is not followed', async () => {
    const peer = await two((_request, response) => {
      response.writeHead(302, { location: '/_matrix/federation/v1/other' });
      response.end();
    });
    await expect(get()).rejects.toMatchObject({ kind: 'http', status: 302 });
    expect(peer.requests).toHaveLength(1);
  });

  it('that is an error tells its code, and that the server is alive', async () => {
    await two(answerJson({ errcode: 'M_NOT_FOUND', error: 'Not here' }, 404));
    await expect(get()).rejects.toMatchObject({
      kind: 'http',
      status: 404,
      errcode: 'M_NOT_FOUND',
      reason: 'Not here',
      isServerDown: false,
    });
    await expect(get()).rejects.toMatchObject({ status: 404 });
  });

  it('that is an error need not be JSON, nor small', async () => {
    await two((_request, response) => {
      response.writeHead(403);
      response.end('x'.repeat(1_000_000));
    });
    await expect(get()).rejects.toMatchObject({ kind: 'http', status: 403, errcode: undefined });
  });

  it('that asks for patience says for how long', async () => {
    await two((_request, response) => {
      response.writeHead(429, { 'retry-after': '60' });
      response.end('{}');
    });
    const before = one.now();
    const failure = await get().catch((error: unknown) => error as { retryAtMs: number });
    expect(failure).toMatchObject({ kind: 'http', status: 429 });
    expect((failure as { retryAtMs: number }).retryAtMs - before).toBeGreaterThanOrEqual(60_000);
    expect((failure as { retryAtMs: number }).retryAtMs - before).toBeLessThan(61_000);
  });
});

describe('a stream', () => {
  const ask = (more: Partial<FederationRequest> = {}) =>
    client.stream({ destination: 'two.test', method: 'GET', path: '/_matrix/federation/v1/media', ...more });

  it('gives the answer as it comes, with its headers', async () => {
    await two((_request, response) => {
      response.writeHead(200, { 'content-type': 'image/png' });
      response.write('pix');
      response.end('els');
    });
    const { headers, body } = await ask();
    expect(headers['content-type']).toBe('image/png');
    expect(await text(body)).toBe('pixels');
  });

  it('ends with an error where it becomes too large', async () => {
    await two((_request, response) => response.end('x'.repeat(300_000)));
    const { body } = await ask({ maxAnswerBytes: 1000 }).catch(() => ({ body: undefined }));
    if (body !== undefined) await expect(text(body)).rejects.toThrow('more than 1000 bytes');
  });

  it('ends with an error at the deadline', async () => {
    await two((_request, response) => response.write('x'));
    const read = ask({ deadlineMs: 150 }).then(({ body }) => text(body));
    await expect(read).rejects.toThrow();
  });

  it('gives its place back when nobody reads on', async () => {
    const peer = await two((_request, response) => response.write('x'));
    for (let n = 0; n < 10; n += 1) {
      const { body } = await ask();
      body.destroy();
      await once(body, 'close');
    }
    expect(peer.requests).toHaveLength(10);
  });
});

describe('a domain that delegates', () => {
  const ask = { destination: 'two.test', method: 'GET', path: '/x' } as const;

  it('is asked where it says, under the name that it says', async () => {
    const hosts: (string | undefined)[] = [];
    const real = await startTlsPeer((request, response) => {
      hosts.push(request.headers.host);
      response.end('{}');
    });
    const domain = await startTlsPeer(answerJson({ 'm.server': `three.test:${real.port}` }));
    closers.push(real.close, domain.close);
    network.redirect('two.test', 443, domain.port);
    const fresh = await startServerOn(network, 'three.test');
    try {
      await fresh.context.federation.client.request(ask);
      await fresh.context.federation.client.request(ask);
    } finally {
      network.redirect('two.test', 443, 1);
      await fresh.close();
    }
    expect(domain.requests).toEqual(['GET /.well-known/matrix/server']);
    expect(hosts).toEqual([`three.test:${real.port}`, `three.test:${real.port}`]);
    expect(real.serverNames[0]).toBe('three.test');
    expect(real.requests).toEqual(['GET /x', 'GET /x']);
  });

  it('cannot name a server with another certificate', async () => {
    const real = await startTlsPeer(answerJson({}), 'stranger');
    const domain = await startTlsPeer(answerJson({ 'm.server': `three.test:${real.port}` }));
    closers.push(real.close, domain.close);
    network.redirect('two.test', 443, domain.port);
    const fresh = await startServerOn(network, 'three.test');
    try {
      await expect(fresh.context.federation.client.request(ask)).rejects.toMatchObject({ kind: 'unreachable' });
    } finally {
      network.redirect('two.test', 443, 1);
      await fresh.close();
    }
    expect(real.requests).toEqual([]);
  });
});

describe('who answers', () => {
  it('has to have the certificate of the name, and gets no request otherwise', async () => {
    const peer = await two(answerJson({}), 'stranger');
    await expect(get()).rejects.toMatchObject({ kind: 'unreachable' });
    expect(peer.requests).toEqual([]);
  });

  it('must not be in the own network, unless that is allowed', async () => {
    const peer = await two(answerJson({}));
    const strict = await startServerOn(network, 'three.test', { federation: { allow_private_addresses: false } });
    try {
      const asked = strict.context.federation.client.request({ destination: 'two.test', method: 'GET', path: '/' });
      await expect(asked).rejects.toMatchObject({ kind: 'refused' });
      const literal = { destination: `127.0.0.1:${peer.port}`, method: 'GET', path: '/' } as const;
      await expect(strict.context.federation.client.request(literal)).rejects.toMatchObject({ kind: 'refused' });
      expect(peer.connections).toBe(0);
    } finally {
      await strict.close();
    }
  });

  it('is nobody where federation is off', async () => {
    const off = await startServerOn(network, 'three.test', { federation: { enabled: false } });
    try {
      const asked = off.context.federation.client.request({ destination: 'two.test', method: 'GET', path: '/' });
      await expect(asked).rejects.toMatchObject({ kind: 'refused' });
      const answer = await off.http.inject({ url: '/_matrix/key/v2/server' });
      expect(answer.json()).toMatchObject({ errcode: 'M_UNRECOGNIZED' });
    } finally {
      await off.close();
    }
  });
});

describe('a server that was down', () => {
  it('is left alone for a while, then tried, and well again at its first answer', async () => {
    const peer = await two(answerJson({ ok: 1 }));
    network.setReachable('two.test', false);
    await expect(get()).rejects.toMatchObject({ kind: 'unreachable' });
    network.setReachable('two.test', true);
    await expect(get()).rejects.toMatchObject({ kind: 'backing_off', retryAtMs: expect.any(Number) });
    expect(peer.requests).toEqual([]);
    expect(await get({ isUrgent: true })).toEqual({ ok: 1 });
    expect(await get()).toEqual({ ok: 1 });
  });

  it('is the same as one whose reverse proxy says so', async () => {
    await two(answerJson({}, 502));
    await expect(get()).rejects.toMatchObject({ kind: 'http', status: 502 });
    await expect(get()).rejects.toMatchObject({ kind: 'backing_off' });
  });

  it('is not the same as one with a fault', async () => {
    await two(answerJson({ errcode: 'M_UNKNOWN' }, 500));
    await expect(get()).rejects.toMatchObject({ kind: 'http', status: 500 });
    await expect(get()).rejects.toMatchObject({ kind: 'http', status: 500 });
  });

  it('is well again when it sends a signed request itself', async () => {
    const other = await startServerOn(network, 'three.test');
    try {
      network.setReachable('three.test', false);
      const ask = { destination: 'three.test', method: 'GET', path: '/_matrix/federation/v1/version' } as const;
      await expect(client.request(ask)).rejects.toMatchObject({ kind: 'unreachable' });
      network.setReachable('three.test', true);
      await expect(client.request(ask)).rejects.toMatchObject({ kind: 'backing_off' });
      const recovered = vi.fn();
      const stop = one.context.bus.subscribe([serverTopic('three.test')], recovered);
      await other.context.federation.client.request({
        destination: 'one.test',
        method: 'GET',
        path: '/_matrix/federation/v1/publicRooms',
      });
      stop();
      expect(recovered).toHaveBeenCalledOnce();
      expect(await client.request(ask)).toMatchObject({ server: { name: 'Stele' } });
    } finally {
      await other.close();
    }
  });
});
