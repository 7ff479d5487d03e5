import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pduRecord } from '#projections/rooms/pdu-record.ts';
import { searchRoom } from '#projections/search/queries.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { silentLog } from '#src/log/logger.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { SearchIndex } from './search-index.ts';

/** The thread of the index gets what of the processor nobody else wants. */
const PATIENCE_MS = 30_000;
const ROOM = '!room:here';
const WORD = { words: ['hello'], prefix: undefined };

let dir: string;
let log: ReturnType<typeof openMemoryLog>;
let serial = 0;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'stele-index-'));
  log = openMemoryLog({ now: () => 1_800_000_000_000 });
  serial = 0;
});

afterEach(async () => {
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

const indexOf = (options: { readonly isThreaded?: boolean; readonly restAfterMs?: number } = {}) =>
  new SearchIndex({ dir, log, logger: silentLog(), isThreaded: false, maxWaitMs: PATIENCE_MS, ...options });

async function say(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    serial += 1;
    const content = { msgtype: 'm.text', body: `hello ${serial}` };
    const pdu = {
      type: 'm.room.message',
      sender: '@alice:here',
      room_id: ROOM,
      content,
      origin_server_ts: 1_700_000_000_000,
      depth: serial,
      prev_events: [],
      auth_events: [],
    } as unknown as Pdu;
    const meta = { eventId: `$${serial}`, roomId: ROOM, roomVersion: '11', disposition: 'accepted' } as const;
    const id = Buffer.alloc(16);
    id.writeUInt32BE(serial);
    const draft = pduRecord(id, meta, pdu, JSON.stringify({ ...pdu, content: {} }), { content });
    await log.append('room-x', await log.revisionOf('room-x'), [draft]);
  }
}

async function found(index: SearchIndex): Promise<number> {
  return searchRoom(await index.readerAt(log.head()), ROOM, WORD).length;
}

describe.each([true, false])('the index (in a thread: %s)', (isThreaded) => {
  it('has what was there before, and what comes while it is asked', async () => {
    await say(30);
    const index = indexOf({ isThreaded });
    expect(await found(index)).toBe(30);
    await say(5);
    expect(await found(index)).toBe(35);
    await index.close();
  });

  it('goes on where it was after it was closed', async () => {
    await say(20);
    const first = indexOf({ isThreaded });
    expect(await found(first)).toBe(20);
    await first.close();
    await say(20);
    const second = indexOf({ isThreaded });
    expect(await found(second)).toBe(40);
    await second.close();
  });
});

describe('the index', () => {
  it('takes many events in batches', async () => {
    await say(3000);
    const index = indexOf();
    expect(await found(index)).toBe(3000);
    await index.close();
  });

  it('is not opened before there is something to index', async () => {
    const index = indexOf();
    index.start();
    await log.append('server-x', -1, [{ id: Buffer.alloc(16, 1), kind: 'media.stored', version: 1, sections: [] }]);
    expect(index.isAwake).toBe(false);
    await say(1);
    await expect.poll(() => index.isAwake).toBe(true);
    expect(await found(index)).toBe(1);
    await index.close();
  });

  it('rests when there is nothing to do, and wakes up for an event or a search', async () => {
    await say(3);
    const index = indexOf({ restAfterMs: 20 });
    expect(await found(index)).toBe(3);
    await expect.poll(() => index.isAwake).toBe(false);
    expect(await found(index)).toBe(3);
    await expect.poll(() => index.isAwake).toBe(false);
    await say(2);
    await expect.poll(() => index.isAwake).toBe(true);
    expect(await found(index)).toBe(5);
    await index.close();
  });

  it('can be closed at any time', async () => {
    await say(50);
    const never = indexOf();
    await never.close();
    const opening = indexOf();
    const asked = opening.readerAt(log.head()).catch((error: unknown) => error);
    await opening.close();
    await asked;
    const inThread = indexOf({ isThreaded: true });
    const askedThere = inThread.readerAt(log.head()).catch((error: unknown) => error);
    await inThread.close();
    await askedThere;
    await expect(opening.readerAt(BEFORE_FIRST)).rejects.toMatchObject({ status: 503 });
  });

  it('that cannot be opened says so, and stops nothing else', async () => {
    await rm(dir, { recursive: true });
    const { writeFile } = await import('node:fs/promises');
    await writeFile(dir, 'not a folder');
    const index = indexOf();
    await say(1);
    await expect(index.readerAt(log.head())).rejects.toMatchObject({ status: 503 });
    await say(1);
    await index.close();
  });
});
