import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MatrixError } from '#src/http/errors.ts';
import { RemoteMedia } from './remote-media.ts';

let folder: string;
let fetched: string[];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-remote-media-'));
  fetched = [];
});
afterEach(() => rm(folder, { recursive: true }));

function make(sizeBytes = 100, maxCacheBytes = 1_000): RemoteMedia {
  const media = new RemoteMedia({ folder, maxCacheBytes, maxFileBytes: 500 });
  media.fetchFrom({
    fetch: async (serverName, mediaId) => {
      fetched.push(`${serverName}/${mediaId}`);
      if (mediaId === 'gone') throw new MatrixError('M_NOT_FOUND');
      const body = Readable.from([Buffer.alloc(sizeBytes - 1, mediaId), Buffer.from('.')]);
      return { body, contentType: 'image/png', fileName: 'a\r\nb.png' };
    },
  });
  return media;
}

test('media are fetched once, kept over a restart, and described', async () => {
  const [one, two] = await Promise.all([make().get('x.example', 'a', 0), make().get('x.example', 'a', 0)]);
  expect(one).toEqual(two);
  const media = make();
  const before = fetched.length;
  const kept = await media.get('x.example', 'a', 0);
  expect(fetched.length).toBe(before);
  expect(kept).toMatchObject({ sizeBytes: 100, contentType: 'image/png', fileName: 'ab.png' });
  const both = [await buffer(await media.read(kept)), await buffer(await media.read(kept, { start: 98, end: 99 }))];
  expect(both.map(String)).toEqual([`${'a'.repeat(99)}.`, 'a.']);
});

test('at the same time the same is fetched once', async () => {
  const media = make();
  await Promise.all([media.get('x.example', 'a', 0), media.get('x.example', 'a', 0), media.get('y.example', 'a', 0)]);
  expect(fetched.sort()).toEqual(['x.example/a', 'y.example/a']);
});

test('what was asked for longest ago goes first when there is too much', async () => {
  const media = make();
  for (const mediaId of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']) {
    const { path: file } = await media.get('x.example', mediaId, 0);
    // As old as the alphabet says, but for the first, which was asked for again.
    const used = mediaId === 'a' ? 1_000 : mediaId.charCodeAt(0);
    await utimes(`${file}.json`, used, used);
  }
  await make().get('x.example', 'k', 0);
  fetched = [];
  const reader = make();
  for (const mediaId of ['a', 'k', 'd', 'j']) await reader.get('x.example', mediaId, 0);
  expect(fetched).toEqual([]);
  await reader.get('x.example', 'b', 0);
  expect(fetched).toEqual(['x.example/b']);
});

test('what is too large, or cannot be had, leaves nothing', async () => {
  await expect(make(501).get('x.example', 'large', 0)).rejects.toMatchObject({ errcode: 'M_TOO_LARGE', status: 502 });
  await expect(make().get('x.example', 'gone', 0)).rejects.toMatchObject({ errcode: 'M_NOT_FOUND' });
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  expect(files).toEqual([]);
  const alone = new RemoteMedia({ folder, maxCacheBytes: 1, maxFileBytes: 1 });
  await expect(alone.get('x.example', 'a', 0)).rejects.toMatchObject({ errcode: 'M_NOT_FOUND' });
});
