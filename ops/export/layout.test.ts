import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { canonicalJson } from '#protocol/canonical-json.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { linesIn } from './files.ts';
import { chunkName, chunkNumber, type EventLine, eventLine, parseEventLine } from './layout.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-layout-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('a chunk has its number in its name', () => {
  expect(chunkNumber(path.join(folder, chunkName(42)))).toBe(42);
});

it('numbers of old rooms are read as they were hashed, those of strict rooms as numbers', async () => {
  const content = '{"big":9007199254740993,"float":1.0}';
  const line = (roomVersion: string, text: string) =>
    `{"position":1,"recorded_at":"","room_id":"!r:x","event_id":"$e","room_version":"${roomVersion}","disposition":"accepted",` +
    `"because":"asked_for","sender_name":null,"is_destroyed":false,"pdu":{"type":"m.room.message","sender":"@a:x",` +
    `"origin_server_ts":1.0,"depth":9007199254740993,"content":${text}}}\n`;
  await mkdir(path.join(folder, 'events'));
  await writeFile(path.join(folder, 'events', chunkName(1)), line('5', content) + line('11', '{"n":1.0}'));
  const lines: EventLine[] = [];
  for await (const read of linesIn<unknown>(path.join(folder, 'events'), parseEventLine))
    lines.push(eventLine.parse(read));
  const [old, strict] = lines.map(({ pdu }) => canonicalJson(pdu.content as JsonObject, 'loose'));
  expect(old).toBe(content);
  expect(strict).toBe('{"n":1}');
});
