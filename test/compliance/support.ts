/** What the tests of compliance share. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { coreProjections } from '#projections/catalogue.ts';
import { check } from '#projections/engine/replay.ts';
import type { EventLog } from '#streams/event-log.ts';
import type { TestApplication, TestClient } from '#test/support/application.ts';

/** Names of files under an application's data folder in which a text is found, as it is or in UTF-16. */
export async function filesWith({ context }: Pick<TestApplication, 'context'>, text: string): Promise<string[]> {
  return filesUnder(context.config.data_dir, text);
}

/** The same for any folder. */
export async function filesUnder(folder: string, text: string): Promise<string[]> {
  const found: string[] = [];
  const wanted = [Buffer.from(text, 'utf8'), Buffer.from(text, 'utf16le')];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const bytes = await readFile(file).catch(ifGone);
    if (wanted.some((one) => bytes.includes(one))) found.push(path.relative(folder, file));
  }
  return found;
}

/** The tables that are not what a replay of the log gives. */
export async function differences(
  { context, log }: { readonly context: TestApplication['context']; readonly log: EventLog },
  dir = path.join(context.config.data_dir, 'projections'),
): Promise<string[]> {
  const { tables } = await check({
    dir,
    projections: coreProjections,
    log: { readAll: (from) => log.readAll(from), head: () => log.head(), refresh: async () => log.head() },
    maxDifferences: 3,
  });
  return tables.filter((table) => table.differences > 0).map((table) => JSON.stringify(table));
}

/** Sends a message; gives its event id. */
export async function say(client: TestClient, roomId: string, body: string): Promise<string> {
  const at = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${Math.random()}`;
  const answer = await client.ok('PUT', at, { msgtype: 'm.text', body });
  return String(answer['event_id']);
}

/** Makes a public room; gives its id. */
export async function makeRoom(client: TestClient, settings: object = {}): Promise<string> {
  return String((await client.ok('POST', '/createRoom', { preset: 'public_chat', ...settings }))['room_id']);
}

/** Uploads a text; gives its media id. */
export async function upload(
  { context }: Pick<TestApplication, 'context'>,
  client: Pick<TestClient, 'userId'>,
  text: string,
): Promise<string> {
  const { Readable } = await import('node:stream');
  const media = await context.media.upload(Readable.from([Buffer.from(text)]), {
    uploader: client.userId,
    contentType: 'text/plain',
    fileName: 'notes.txt',
    announcedBytes: undefined,
  });
  return media.mediaId;
}

/** What a server removes or renames while it is searched through has nothing in it any more. */
function ifGone(error: unknown): Buffer {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
  throw error;
}
