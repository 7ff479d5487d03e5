/** Media over HTTP: up, down, in parts, and what browsers must not do with it. */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_UPLOADS_OF_USER } from '#src/media/media-store.ts';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

const MAX_UPLOAD_BYTES = 300 * 1024;

let app: TestApplication;
let alice: TestClient;

beforeAll(async () => {
  app = await startApplication({ media: { max_upload: '300KiB' } });
  alice = await app.register('alice');
});

afterAll(() => app.close());

async function upload(content: Buffer, type?: string, fileName?: string) {
  const answer = await app.http.inject({
    method: 'POST',
    url: `/_matrix/media/v3/upload${fileName === undefined ? '' : `?filename=${encodeURIComponent(fileName)}`}`,
    headers: {
      authorization: `Bearer ${alice.accessToken}`,
      ...(type !== undefined && { 'content-type': type }),
    },
    payload: content,
  });
  return { status: answer.statusCode, body: answer.json() as { content_uri: string; errcode?: string } };
}

/** Uploads, and gives the `<server>/<media id>` of the URI. */
async function uploaded(content: Buffer, type?: string, fileName?: string): Promise<string> {
  const { status, body } = await upload(content, type, fileName);
  expect(status).toBe(200);
  expect(body.content_uri).toMatch(/^mxc:\/\/localhost\/[A-Za-z0-9_-]{22}$/);
  return body.content_uri.slice('mxc://'.length);
}

function get(at: string, headers: Record<string, string> = {}) {
  return app.http.inject({
    url: `/_matrix/client/v1/media/${at}`,
    headers: { authorization: `Bearer ${alice.accessToken}`, ...headers },
  });
}

describe('an upload', () => {
  it('comes back as it was', async () => {
    const content = randomBytes(200_000);
    const id = await uploaded(content, 'image/png', 'a cat.png');
    const answer = await get(`download/${id}`);
    expect(answer.statusCode).toBe(200);
    expect(answer.rawPayload.equals(content)).toBe(true);
    expect(answer.headers).toMatchObject({
      'content-type': 'image/png',
      'content-length': '200000',
      'content-disposition': 'inline; filename="a cat.png"',
      'content-security-policy': expect.stringContaining("sandbox; default-src 'none'"),
      'cross-origin-resource-policy': 'cross-origin',
      'x-content-type-options': 'nosniff',
      'access-control-allow-origin': '*',
    });
  });

  it('may be empty, and say nothing of itself', async () => {
    const answer = await get(`download/${await uploaded(Buffer.alloc(0))}`);
    expect(answer.statusCode).toBe(200);
    expect(answer.rawPayload).toHaveLength(0);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
    });
  });

  it('of the same content twice is stored once, under two ids', async () => {
    const content = randomBytes(1000);
    const files = async () =>
      (await readdir(path.join(app.context.config.data_dir, 'media'), { recursive: true, withFileTypes: true })).filter(
        (entry) => entry.isFile(),
      ).length;
    const before = await files();
    const first = await uploaded(content, 'image/png');
    const second = await uploaded(content, 'text/plain', 'b');
    expect(first).not.toBe(second);
    expect(await files()).toBe(before + 1);
    expect((await get(`download/${first}`)).headers['content-type']).toBe('image/png');
    expect((await get(`download/${second}`)).headers['content-type']).toBe('text/plain');
  });

  it('over the limit is refused, and nothing of it is left', async () => {
    expect((await upload(Buffer.alloc(MAX_UPLOAD_BYTES))).status).toBe(200);
    const head = app.log.head();
    expect(await upload(Buffer.alloc(MAX_UPLOAD_BYTES + 1))).toMatchObject({
      status: 413,
      body: { errcode: 'M_TOO_LARGE' },
    });
    expect(app.log.head()).toBe(head);
    expect(await readdir(path.join(app.context.config.data_dir, 'media', 'incoming'))).toEqual([]);
  });

  it('is refused while nothing can be recorded', async () => {
    app.log.refuseWrites('the disk is full');
    const { status } = await upload(Buffer.from('x'));
    app.log.refuseWrites(undefined);
    expect(status).toBe(503);
    expect((await upload(Buffer.from('x'))).status).toBe(200);
  });

  it('needs an account', async () => {
    expect((await request(app.http, 'POST', '/_matrix/media/v3/upload', {})).body).toMatchObject({
      errcode: 'M_MISSING_TOKEN',
    });
  });
});

it('of one user at a time there are only so many', async () => {
  const idle = Array.from({ length: MAX_UPLOADS_OF_USER }, () => new PassThrough());
  const info = { uploader: alice.userId, contentType: undefined, fileName: undefined, announcedBytes: undefined };
  const underWay = idle.map((source) => app.context.media.upload(source, info));
  expect(await upload(Buffer.from('one more'))).toMatchObject({ status: 429, body: { errcode: 'M_LIMIT_EXCEEDED' } });
  for (const source of idle) source.end('done');
  await Promise.all(underWay);
  expect((await upload(Buffer.from('one more'))).status).toBe(200);
});

describe('a download', () => {
  it.each([
    ['text/html', 'attachment'],
    ['image/svg+xml', 'attachment'],
    ['application/pdf', 'attachment'],
    ['Text/Plain; charset=utf-8', 'inline'],
    ['video/mp4', 'inline'],
    ['nonsense', 'attachment'],
  ])('of %s is %s', async (type, disposition) => {
    const answer = await get(`download/${await uploaded(Buffer.from('x'), type)}`);
    expect(answer.headers['content-disposition']).toBe(disposition);
    expect(answer.headers['content-type']).toBe(type === 'nonsense' ? 'application/octet-stream' : type);
  });

  it.each([
    ['résumé "x".pdf', "attachment; filename*=utf-8''r%C3%A9sum%C3%A9%20%22x%22.pdf"],
    ['a\r\nset-cookie: x', 'attachment; filename="aset-cookie: x"'],
    ["it's (1)*.zip", 'attachment; filename="it\'s (1)*.zip"'],
    ['日本(1).zip', "attachment; filename*=utf-8''%E6%97%A5%E6%9C%AC%281%29.zip"],
  ])('has the file name %j', async (fileName, disposition) => {
    const id = await uploaded(Buffer.from('x'), 'application/zip', fileName);
    expect((await get(`download/${id}`)).headers['content-disposition']).toBe(disposition);
    expect((await get(`download/${id}/mine.txt`)).headers['content-disposition']).toBe(
      'attachment; filename="mine.txt"',
    );
  });

  it('gives the part that is asked for', async () => {
    const content = randomBytes(1000);
    const id = await uploaded(content, 'audio/ogg');
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 0],
      ['bytes=100-199', 100, 199],
      ['bytes=900-', 900, 999],
      ['bytes=900-5000', 900, 999],
      ['bytes=-10', 990, 999],
      ['bytes=-5000', 0, 999],
    ] as const) {
      const answer = await get(`download/${id}`, { range });
      expect(answer.statusCode).toBe(206);
      expect(answer.headers['content-range']).toBe(`bytes ${start}-${end}/1000`);
      expect(answer.rawPayload.equals(content.subarray(start, end + 1))).toBe(true);
    }
    const beyond = await get(`download/${id}`, { range: 'bytes=1000-' });
    expect(beyond.statusCode).toBe(416);
    expect(beyond.headers['content-range']).toBe('bytes */1000');
    for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=-', 'bytes=5-1']) {
      expect((await get(`download/${id}`, { range })).statusCode).toBe(200);
    }
    expect((await get(`download/${id}`, { range: 'bytes=0-1', 'if-range': '"other"' })).statusCode).toBe(200);
  });

  it('sends nothing to who has it', async () => {
    const id = await uploaded(Buffer.from('same'));
    const etag = String((await get(`download/${id}`)).headers.etag);
    const answer = await get(`download/${id}`, { 'if-none-match': etag });
    expect(answer.statusCode).toBe(304);
    expect(answer.rawPayload).toHaveLength(0);
  });

  it.each([
    'download/localhost/unknown',
    'download/localhost/..%2F..%2Fetc%2Fpasswd',
    'download/..%2F../x',
    `download/localhost/${'x'.repeat(3000)}`,
    'thumbnail/localhost/unknown?width=1&height=1',
  ])('%s is not found', async (at) => {
    const answer = await get(at);
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ errcode: 'M_NOT_FOUND' });
  });

  it('needs a token; without one there is nothing any more', async () => {
    const id = await uploaded(Buffer.from('secret'), 'image/png');
    expect((await request(app.http, 'GET', `/_matrix/client/v1/media/download/${id}`)).status).toBe(401);
    for (const at of [`download/${id}`, `download/${id}/x.png`, `thumbnail/${id}?width=1&height=1`]) {
      for (const version of ['v3', 'r0']) {
        expect(await request(app.http, 'GET', `/_matrix/media/${version}/${at}`)).toMatchObject({
          status: 404,
          body: { errcode: 'M_NOT_FOUND' },
        });
      }
    }
  });
});

it('says how large uploads may be, under both names', async () => {
  expect(await alice.ok('GET', '/_matrix/client/v1/media/config')).toEqual({ 'm.upload.size': MAX_UPLOAD_BYTES });
  expect(await alice.ok('GET', '/_matrix/media/v3/config')).toEqual({ 'm.upload.size': MAX_UPLOAD_BYTES });
});

describe('over a connection', () => {
  let url: string;
  const incoming = () => readdir(path.join(app.context.config.data_dir, 'media', 'incoming'));

  beforeAll(async () => {
    url = await app.http.listen({ port: 0, host: '127.0.0.1' });
    await uploaded(Buffer.from('makes the folders'));
  });

  /** Sends a body in chunks whose number the server does not know before. */
  function uploadInChunks(chunks: Iterable<Buffer> | AsyncIterable<Buffer>, signal?: AbortSignal) {
    return fetch(`${url}/_matrix/media/v3/upload`, {
      method: 'POST',
      headers: { authorization: `Bearer ${alice.accessToken}`, 'content-type': 'application/zip' },
      body: ReadableStream.from(chunks),
      duplex: 'half',
      ...(signal && { signal }),
    });
  }

  it('an upload in chunks comes back whole', async () => {
    const chunks = Array.from({ length: 20 }, () => randomBytes(10_000));
    const answer = await uploadInChunks(chunks);
    const { content_uri: uri } = (await answer.json()) as { content_uri: string };
    const back = await get(`download/${uri.slice('mxc://'.length)}`);
    expect(back.rawPayload.equals(Buffer.concat(chunks))).toBe(true);
  });

  it('one that turns out too large is told so', async () => {
    const answer = await uploadInChunks(Array.from({ length: 31 }, () => Buffer.alloc(10 * 1024)));
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({ errcode: 'M_TOO_LARGE' });
    expect(await incoming()).toEqual([]);
  });

  it('one that breaks off leaves nothing behind', async () => {
    const abort = new AbortController();
    const { promise: isUnderWay, resolve } = Promise.withResolvers<void>();
    const neverEnding = async function* () {
      yield Buffer.alloc(10_000);
      resolve();
      await new Promise(() => undefined);
    };
    const head = app.log.head();
    const answer = uploadInChunks(neverEnding(), abort.signal);
    await isUnderWay;
    await expect.poll(incoming).toHaveLength(1);
    abort.abort();
    await expect(answer).rejects.toThrow();
    await expect.poll(incoming).toEqual([]);
    expect(app.log.head()).toBe(head);
  });
});
