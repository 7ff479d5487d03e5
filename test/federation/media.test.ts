/** Media that users see and that are on another server. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { answerJson, startTlsPeer, type TlsPeer } from '#test/support/tls-peer.ts';

const MAX_BYTES = 300 * 1024;
const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let peer: TlsPeer | undefined;
let ids = 0;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test', { media: { max_upload: '300KiB' } });
  two = await startServerOn(network, 'two.test', { media: { max_upload: '1MiB' } });
  alice = await one.register('alice');
  bob = await two.register('bob');
});
afterEach(async () => {
  await peer?.close();
  peer = undefined;
  one.context.federation.destinations.alive('three.test');
});
afterAll(async () => {
  await one.close();
  await two.close();
});

async function upload(content: Buffer, type: string, fileName = 'a'): Promise<string> {
  const answer = await two.http.inject({
    method: 'POST',
    url: `/_matrix/media/v3/upload?filename=${encodeURIComponent(fileName)}`,
    headers: { authorization: `Bearer ${bob.accessToken}`, 'content-type': type },
    payload: content,
  });
  expect(answer.statusCode).toBe(200);
  return (answer.json() as { content_uri: string }).content_uri.slice('mxc://'.length);
}

function get(at: string) {
  return one.http.inject({
    url: `/_matrix/client/v1/media/${at}`,
    headers: { authorization: `Bearer ${alice.accessToken}` },
  });
}

/** The image library reads files only, once the server uses it. */
async function sizeOf(image: Buffer): Promise<object> {
  const file = path.join(one.context.config.data_dir, 'image');
  await writeFile(file, image);
  const { width, height } = await sharp(file).metadata();
  return { width, height };
}

/** Asks for a media of three.test that nobody asked for before. */
async function fromThree(answer: RequestListener, at = (id: string) => `download/${id}`) {
  peer = await startTlsPeer(answer);
  network.place('three.test', peer.port);
  one.advance(6 * 60_000);
  ids += 1;
  return get(at(`three.test/m${ids}`));
}

function parts(second: string, options: { readonly end?: string; readonly type?: string } = {}): RequestListener {
  const { end = '\r\n--b--\r\n', type = 'multipart/mixed; boundary=b' } = options;
  return (_request, response) => {
    response.writeHead(200, { 'content-type': type });
    // In pieces, so that a delimiter stands across two of them.
    const text = `\r\n--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n${second}${end}`;
    for (let at = 0; at < text.length; at += 7) response.write(text.slice(at, at + 7));
    response.end();
  };
}

describe('of a server of our kind', () => {
  it('a file comes as it was uploaded, and is kept', async () => {
    const content = randomBytes(250_000);
    const id = await upload(content, 'image/png', 'é "cat".png');
    const first = await get(`download/${id}`);
    expect(first.statusCode).toBe(200);
    expect(first.rawPayload.equals(content)).toBe(true);
    expect(first.headers).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': `inline; filename*=utf-8''${encodeURIComponent('é "cat".png')}`,
    });
    network.setReachable('two.test', false);
    expect((await get(`download/${id}`)).rawPayload.equals(content)).toBe(true);
    network.setReachable('two.test', true);
  });

  it('an image comes small', async () => {
    const image = await sharp({ create: { width: 900, height: 900, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const id = await upload(image, 'image/png');
    const { statusCode, rawPayload } = await get(`thumbnail/${id}?width=30&height=30&method=crop`);
    expect(statusCode).toBe(200);
    expect(await sizeOf(rawPayload)).toMatchObject({ width: 32, height: 32 });
    // The other server makes small ones too, for who asks it for one.
    const { body, headers } = await one.context.federation.client.stream({
      destination: 'two.test',
      method: 'GET',
      path: `/_matrix/federation/v1/media/thumbnail/${id.split('/')[1]}?width=30&height=30&method=crop`,
    });
    const bytes = Buffer.concat(await body.toArray());
    expect(bytes.length).toBe(Number(headers['content-length']));
    const start = bytes.indexOf('\r\n\r\n', bytes.indexOf('image/')) + 4;
    expect(await sizeOf(bytes.subarray(start))).toMatchObject({ width: 32, height: 32 });
  });

  it('what it does not have is not there, and what it waits for may come', async () => {
    expect((await get('download/two.test/nothing')).json()).toMatchObject({ errcode: 'M_NOT_FOUND' });
    const { content_uri: uri } = await bob.ok('POST', '/_matrix/media/v1/create');
    const id = String(uri).slice('mxc://'.length);
    const early = await get(`download/${id}?timeout_ms=0`);
    expect([early.statusCode, early.json()]).toMatchObject([504, { errcode: 'M_NOT_YET_UPLOADED' }]);
    // That was no sign of trouble.
    expect((await get(`download/${await upload(Buffer.from('x'), 'text/plain')}`)).body).toBe('x');
  });

  it('what is too large is refused, and nothing of it kept', async () => {
    const id = await upload(randomBytes(MAX_BYTES + 1), 'application/octet-stream');
    const answer = await get(`download/${id}`);
    expect([answer.statusCode, answer.json()]).toMatchObject([502, { errcode: 'M_TOO_LARGE' }]);
  });

  it('is not given to clients without a token', async () => {
    const id = await upload(Buffer.from('y'), 'text/plain');
    await get(`download/${id}`);
    const [, mediaId] = id.split('/');
    expect((await one.http.inject({ url: `/_matrix/media/v3/download/${id}` })).statusCode).toBe(404);
    expect((await one.http.inject({ url: `/_matrix/federation/v1/media/download/${mediaId}` })).statusCode).toBe(401);
  });
});

describe('of a server of another kind', () => {
  it('a part is read to its delimiter, whatever the content looks like', async () => {
    const content = 'a\r\n--\r\n\r\n--c\r\n--';
    const answer = await fromThree(
      parts(`Content-Type: text/plain\r\ncontent-disposition: inline; filename=x.txt\r\n\r\n${content}`),
    );
    expect(answer.body).toBe(content);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain',
      'content-disposition': 'inline; filename="x.txt"',
    });
    expect(peer?.requests).toEqual([`GET /_matrix/federation/v1/media/download/m${ids}?timeout_ms=20000`]);
  });

  it('a part without headers, or of nothing, is a media', async () => {
    expect((await fromThree(parts('\r\nabc'))).body).toBe('abc');
    expect((await fromThree(parts('\r\n', { type: 'Multipart/Mixed;x=1; boundary="b"' }))).body).toBe('');
  });

  it('a redirect is followed without credentials', async () => {
    const seen: (string | undefined)[] = [];
    const { statusCode, body, headers } = await fromThree((request, response) => {
      seen.push(request.headers.authorization?.slice(0, 8));
      const place = `https://three.test:${peer?.port}`;
      if (request.url === '/there') {
        response.writeHead(200, { 'content-type': 'text/plain', 'content-disposition': 'attachment; filename="f"' });
        response.end('content');
      } else if (request.url === '/here') {
        response.writeHead(302, { location: '/there' }).end();
      } else parts(`Location: ${place}/here\r\n\r\n`)(request, response);
    });
    expect([statusCode, body, headers['content-type']]).toEqual([200, 'content', 'text/plain']);
    expect(seen).toEqual(['X-Matrix', undefined, undefined]);
  });

  it.each([
    ['to a place without encryption', (port: number) => `http://three.test:${port}/x`],
    ['to a place with a password', (port: number) => `https://a:b@three.test:${port}/x`],
    ['in a circle', (port: number) => `https://three.test:${port}/x`],
    ['to no place', () => 'nonsense'],
  ])('a redirect %s is not', async (_what, where) => {
    const answer = await fromThree((request: IncomingMessage, response: ServerResponse) => {
      const place = where(peer?.port ?? 0);
      if (request.url === '/x') response.writeHead(307, { location: place }).end();
      else parts(`Location: ${place}\r\n\r\n`)(request, response);
    });
    expect([answer.statusCode, answer.json()]).toMatchObject([502, { errcode: 'M_CONNECTION_FAILED' }]);
    expect(peer?.requests.length).toBeLessThanOrEqual(5);
  });

  it('the path of old is asked where the new one is not known, and no other server through it', async () => {
    const answer = await fromThree((request, response) => {
      if (request.url?.includes('/federation/'))
        return answerJson({ errcode: 'M_UNRECOGNIZED' }, 404)(request, response);
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.end(String(request.headers.authorization));
    });
    expect(answer.body).toBe('undefined');
    expect(peer?.requests[1]).toBe(
      `GET /_matrix/media/v3/download/three.test/m${ids}?allow_remote=false&timeout_ms=20000`,
    );
  });

  it.each([
    ['has no such media', answerJson({ errcode: 'M_NOT_FOUND' }, 404), 404, 'M_NOT_FOUND'],
    ['forbids it', answerJson({ errcode: 'M_FORBIDDEN' }, 403), 404, 'M_NOT_FOUND'],
    ['answers with JSON', answerJson({}), 502, 'M_CONNECTION_FAILED'],
    ['answers with one part', parts('', { end: '--' }), 502, 'M_CONNECTION_FAILED'],
    ['breaks off', parts('\r\nhalf', { end: '' }), 502, 'M_CONNECTION_FAILED'],
    ['never comes to the media', parts(`x: ${'y'.repeat(MAX_BYTES)}`, { end: '' }), 502, 'M_CONNECTION_FAILED'],
    ['sends too much', parts(`\r\n${'z'.repeat(MAX_BYTES + 1)}`), 502, 'M_TOO_LARGE'],
    ['sends far too much', parts(`\r\n${'z'.repeat(2 * MAX_BYTES)}`), 502, 'M_TOO_LARGE'],
    ['has no size', parts('\r\nz', { type: 'multipart/mixed' }), 502, 'M_CONNECTION_FAILED'],
  ])('a server that %s: the user is told so', async (_what, peerAnswer, status, errcode) => {
    const answer = await fromThree(peerAnswer);
    expect([answer.statusCode, answer.json()]).toMatchObject([status, { errcode }]);
    // Nothing of it is kept: it is asked again.
    const before = peer?.requests.length ?? 0;
    expect((await get(`download/three.test/m${ids}`)).statusCode).toBe(status);
    expect(peer?.requests.length).toBe(before * 2);
  });
});
