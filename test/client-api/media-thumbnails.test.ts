/** Thumbnails over HTTP: their sizes and kinds, and what is refused before it can do harm. */
import { Buffer } from 'node:buffer';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { THUMBNAIL_SIZES, type ThumbnailMethod } from '#src/media/thumbnail-size.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  // The server reads files only, and sees to that with its first image; what it answers is looked at from memory here.
  await app.context.thumbnails.dimensions('nothing');
  sharp.unblock({ operation: ['Jpeg', 'Png', 'Webp', 'Nsgif'].map((name) => `VipsForeignLoad${name}Buffer`) });
});
afterAll(() => app.close());

async function uploaded(content: Buffer, type: string): Promise<string> {
  const answer = await app.http.inject({
    method: 'POST',
    url: '/_matrix/media/v3/upload',
    headers: { authorization: `Bearer ${alice.accessToken}`, 'content-type': type },
    payload: content,
  });
  return String(answer.json().content_uri).slice('mxc://'.length);
}

function thumbnail(id: string, query: string) {
  return app.http.inject({
    url: `/_matrix/client/v1/media/thumbnail/${id}?${query}`,
    headers: { authorization: `Bearer ${alice.accessToken}` },
  });
}

const RED = { r: 200, g: 20, b: 20 };
const picture = (width: number, height: number) => sharp({ create: { width, height, channels: 3, background: RED } });
const jpeg = (width: number, height: number) => picture(width, height).jpeg().toBuffer();

/** A GIF of some frames, each of another colour. */
async function animation(width: number, height: number, frames: number): Promise<Buffer> {
  const images = await Promise.all(
    Array.from({ length: frames }, (_, index) =>
      sharp({ create: { width, height, channels: 3, background: { r: index * 20, g: 0, b: 0 } } })
        .png()
        .toBuffer(),
    ),
  );
  return sharp(images, { join: { animated: true } })
    .gif({ delay: 100, loop: 0 })
    .toBuffer();
}

describe('a thumbnail', () => {
  it.each([
    [800, 600, 'width=100&height=100&method=scale', 320, 240],
    [800, 600, 'width=100&height=100', 320, 240],
    [800, 600, 'width=32&height=32&method=crop', 32, 32],
    [800, 600, 'width=33&height=20&method=crop', 96, 96],
    [800, 600, 'width=300&height=200&method=crop', 320, 240],
    [2000, 500, 'width=640&height=480&method=scale', 640, 160],
    [3000, 3000, 'width=5000&height=5000&method=scale', 1200, 1200],
  ])('of %i × %i for %s', async (width, height, query, expectedWidth, expectedHeight) => {
    const answer = await thumbnail(await uploaded(await jpeg(width, height), 'image/jpeg'), query);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'image/jpeg',
      'content-disposition': 'inline; filename="thumbnail.jpeg"',
      'content-security-policy': expect.stringContaining('sandbox'),
      'cross-origin-resource-policy': 'cross-origin',
      'content-length': String(answer.rawPayload.length),
    });
    const metadata = await sharp(answer.rawPayload).metadata();
    expect([metadata.width, metadata.height]).toEqual([expectedWidth, expectedHeight]);
  });

  it('is never larger than the image: a small one is its own', async () => {
    const small = await picture(20, 10).png().toBuffer();
    const answer = await thumbnail(await uploaded(small, 'image/png'), 'width=96&height=96&method=crop');
    expect(answer.statusCode).toBe(200);
    expect(answer.rawPayload.equals(small)).toBe(true);
  });

  it('keeps what shines through', async () => {
    const background = { ...RED, alpha: 0.5 };
    const glass = await sharp({ create: { width: 700, height: 700, channels: 4, background } })
      .png()
      .toBuffer();
    const answer = await thumbnail(await uploaded(glass, 'image/png'), 'width=96&height=96&method=crop');
    expect(answer.headers['content-type']).toBe('image/png');
    expect((await sharp(answer.rawPayload).metadata()).hasAlpha).toBe(true);
  });

  it('is upright, and says nothing of where the picture was taken', async () => {
    const exif = { IFD0: { Artist: 'somebody' }, IFD3: { GPSLatitude: '1/1 2/1 3/1' } };
    const lying = await picture(800, 400).withExif(exif).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const answer = await thumbnail(await uploaded(lying, 'image/jpeg'), 'width=320&height=240');
    const metadata = await sharp(answer.rawPayload).metadata();
    expect([metadata.width, metadata.height, metadata.exif]).toEqual([120, 240, undefined]);
  });

  it('is made once, in few sizes', async () => {
    const id = await uploaded(await jpeg(1801, 1201), 'image/jpeg');
    const files = async () =>
      (await readdir(path.join(app.context.config.data_dir, 'thumbnails'), { recursive: true })).length;
    await thumbnail(id, 'width=100&height=100');
    const before = await files();
    await Promise.all(
      Array.from({ length: 60 }, (_, index) => thumbnail(id, `width=${101 + index}&height=${120 + index}`)),
    );
    expect(await files()).toBe(before);
  });

  it('of an AVIF is one that every client shows', async () => {
    const avif = await picture(40, 30).avif({ effort: 0 }).toBuffer();
    const small = await thumbnail(await uploaded(avif, 'image/avif'), 'width=96&height=96');
    expect(small.statusCode).toBe(400);
    const large = await picture(700, 500).avif({ effort: 0 }).toBuffer();
    const answer = await thumbnail(await uploaded(large, 'image/avif'), 'width=96&height=96');
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'image/jpeg']);
  });
});

describe('of an animation', () => {
  it('a thumbnail moves if that is wanted, and else stands still', async () => {
    const id = await uploaded(await animation(400, 400, 5), 'image/gif');
    const moving = await thumbnail(id, 'width=96&height=96&method=crop&animated=true');
    expect(moving.headers['content-type']).toBe('image/webp');
    expect((await sharp(moving.rawPayload, { animated: true }).metadata()).pages).toBe(5);
    for (const query of ['animated=false&', '']) {
      const still = await thumbnail(id, `${query}width=96&height=96&method=crop`);
      expect((await sharp(still.rawPayload, { animated: true }).metadata()).pages ?? 1).toBe(1);
    }
  });

  it('that is small, the same goes', async () => {
    const small = await animation(20, 20, 3);
    const id = await uploaded(small, 'image/gif');
    expect((await thumbnail(id, 'width=96&height=96&animated=true')).rawPayload.equals(small)).toBe(true);
    const still = await thumbnail(id, 'width=96&height=96&animated=false');
    expect((await sharp(still.rawPayload, { animated: true }).metadata()).pages ?? 1).toBe(1);
  });
});

describe('there is no thumbnail', () => {
  /** A PNG that says it has so many pixels, and holds next to nothing. */
  function bomb(width: number, height: number): Buffer {
    const chunk = (type: string, data: Buffer): Buffer => {
      const body = Buffer.concat([Buffer.from(type), data]);
      const framed = Buffer.alloc(8 + body.length);
      framed.writeUInt32BE(data.length, 0);
      body.copy(framed, 4);
      framed.writeUInt32BE(crc32(body), 4 + body.length);
      return framed;
    };
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head.set([8, 2, 0, 0, 0], 8);
    return Buffer.concat([
      Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
      chunk('IHDR', head),
      chunk('IDAT', deflateSync(Buffer.alloc(1_000_000))),
      chunk('IEND', Buffer.alloc(0)),
    ]);
  }

  it('of an image with too many pixels, which is told by its head', async () => {
    const answer = await thumbnail(await uploaded(bomb(50_000, 50_000), 'image/png'), 'width=96&height=96');
    expect([answer.statusCode, answer.json().errcode]).toEqual([413, 'M_TOO_LARGE']);
  });

  it.each([
    ['a text', Buffer.from('x'), 'text/plain'],
    ['a text that calls itself an image', Buffer.from('x'), 'image/png'],
    [
      'an SVG, whatever it calls itself',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      'image/png',
    ],
    ['half a JPEG', Buffer.from([0xff, 0xd8, 0xff]), 'image/jpeg'],
    ['nothing', Buffer.alloc(0), 'image/png'],
  ])('of %s', async (_what, content, type) => {
    const answer = await thumbnail(await uploaded(content, type), 'width=96&height=96');
    expect([answer.statusCode, answer.json().errcode]).toEqual([400, 'M_UNKNOWN']);
  });

  it('of an image that ends too early', async () => {
    const whole = await sharp({
      create: {
        width: 900,
        height: 900,
        channels: 3,
        background: RED,
        noise: { type: 'gaussian', mean: 100, sigma: 50 },
      },
    })
      .jpeg()
      .toBuffer();
    const answer = await thumbnail(
      await uploaded(whole.subarray(0, whole.length / 2), 'image/jpeg'),
      'width=96&height=96',
    );
    expect([answer.statusCode, answer.json().errcode]).toEqual([400, 'M_UNKNOWN']);
  });

  it.each([
    ['', 'M_MISSING_PARAM'],
    ['width=0&height=1', 'M_INVALID_PARAM'],
    ['width=1.5&height=1', 'M_INVALID_PARAM'],
    ['width=1&height=-1', 'M_INVALID_PARAM'],
    ['width=1&height=1&method=stretch', 'M_INVALID_PARAM'],
  ])('for %j', async (query, errcode) => {
    const answer = await thumbnail(await uploaded(await jpeg(10, 10), 'image/jpeg'), query);
    expect([answer.statusCode, answer.json().errcode]).toEqual([400, errcode]);
  });
});

it('the sizes include those that the specification names', () => {
  const named: [number, number, ThumbnailMethod][] = [
    [32, 32, 'crop'],
    [96, 96, 'crop'],
    [320, 240, 'scale'],
    [640, 480, 'scale'],
    [800, 600, 'scale'],
  ];
  for (const [width, height, method] of named) expect(THUMBNAIL_SIZES).toContainEqual({ width, height, method });
});

function crc32(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}
