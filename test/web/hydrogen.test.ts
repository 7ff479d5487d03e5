/** A web client that nobody here wrote, in a browser that nobody here wrote, talks through the server. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findChromium, launchChromium, StaticSite } from '#test/support/browser.ts';
import { clientOf, messageIn, muteConsole, onceTrue, registerAccount, startSyncing } from '#test/support/js-sdk.ts';
import { PASSWORD } from '#test/support/sdk.ts';
import { SteleProcess, type TestUser } from '#test/support/stele-process.ts';

const WAIT_MS = 30_000;
const HYDROGEN = 'hydrogen-view-sdk';
const PAGE = new URL('hydrogen/', import.meta.url);
/** A red square of eight by eight. */
const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC',
  'base64',
);

/** More than the client asks for at once. */
const LINES = 45;

interface RoomEvent {
  readonly event_id: string;
  readonly type: string;
  readonly sender: string;
  readonly content: Readonly<Record<string, unknown>>;
}

/** What is needed of an answer to `/sync`. */
interface Synced {
  readonly rooms: { readonly join: Readonly<Record<string, { readonly ephemeral: { readonly events: Ephemeral[] } }>> };
}
interface Ephemeral {
  readonly type: string;
  /** Event id → type of receipt → user id → receipt. */
  readonly content: Readonly<Record<string, Record<string, Record<string, unknown>>>>;
}

/** What is needed of the elements of the page. */
interface Picture {
  readonly naturalWidth: number;
  decode(): Promise<void>;
}
interface Scroller {
  scrollTo(x: number, y: number): void;
}

const chromium = await findChromium();
const hydrogen = findHydrogen();
const lacking = [
  ...(chromium === undefined ? ['no Chromium is on the path, nor named by STELE_TEST_CHROMIUM'] : []),
  ...(hydrogen === undefined ? [`the package ${HYDROGEN} is not installed`] : []),
];
if (lacking.length > 0) console.warn(`Skipped, a web client in a browser: ${lacking.join('; ')}.`);

describe.skipIf(chromium === undefined || hydrogen === undefined)('Hydrogen in Chromium', () => {
  let stele: SteleProcess;
  let site: StaticSite;
  let folder: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let bob: TestUser;
  let roomId: string;
  /** What the browser's console has shown of failures. */
  const complaints: string[] = [];

  beforeAll(async () => {
    muteConsole();
    folder = await mkdtemp(path.join(tmpdir(), 'stele-web-'));
    stele = await SteleProcess.make();
    [browser] = await Promise.all([launchChromium(chromium ?? ''), buildHydrogen(folder), stele.start()]);
    site = await StaticSite.serve(folder);
    bob = await stele.register('bob');
    await stele.register('alice');
    context = await browser.newContext({ viewport: { width: 1000, height: 700 } });
    page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.setDefaultTimeout(WAIT_MS);
  });

  afterAll(async () => {
    vi.restoreAllMocks();
    await browser?.close();
    await site?.close();
    await stele?.remove();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  it('logs in with a password', async () => {
    await page.goto(`${site.url}/?homeserver=${encodeURIComponent(stele.url)}`);
    await page.getByLabel('Username').fill('alice');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Log In' }).click();
    await page.locator('.LeftPanel').waitFor();
  });

  it('shows an invite, and the room once it is accepted', async () => {
    const created = await bob.call('POST', '/createRoom', { name: 'Standing stones', invite: ['@alice:localhost'] });
    roomId = String(created['room_id']);
    await page.locator('.RoomList').getByText('Standing stones').click();
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.getByPlaceholder('Send a message…').waitFor();
    await bob.call('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`, {
      msgtype: 'm.text',
      body: 'Good morning',
    });
    await message('Good morning').waitFor();
  });

  it('sends what is typed', async () => {
    await say('How old are they?');
    expect(await lastOf(bob)).toMatchObject({
      type: 'm.room.message',
      sender: '@alice:localhost',
      content: { msgtype: 'm.text', body: 'How old are they?' },
    });
  });

  it('shows reactions, and gives one', async () => {
    const { event_id: eventId } = await lastOf(bob);
    await bob.call('PUT', `${room()}/send/m.reaction/2`, {
      'm.relates_to': { rel_type: 'm.annotation', event_id: eventId, key: '👀' },
    });
    const question = message('How old are they?');
    await question.getByRole('button', { name: '👀 1' }).click();
    await question.getByRole('button', { name: '👀 2' }).waitFor();
    await onceSeen(({ sender, type }) => sender === '@alice:localhost' && type === 'm.reaction');
  });

  it('takes back what was said, in both directions', async () => {
    await say('Not that I care');
    const { event_id: aliceSaid } = await lastOf(bob);
    const regretted = message('Not that I care');
    await regretted.hover();
    await regretted.locator('.Timeline_messageOptions').click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await regretted.waitFor({ state: 'detached' });
    await onceSeen((event) => event.type === 'm.room.redaction' && event.content['redacts'] === aliceSaid);

    const { event_id: bobSaid } = await bob.call('PUT', `${room()}/send/m.room.message/3`, {
      msgtype: 'm.text',
      body: 'Me neither',
    });
    await message('Me neither').waitFor();
    await bob.call('PUT', `${room()}/redact/${encodeURIComponent(String(bobSaid))}/4`, {});
    await message('Me neither').waitFor({ state: 'detached' });
  });

  it('shows a picture, which it may only have with its token', async () => {
    const upload = await fetch(`${stele.url}/_matrix/media/v3/upload?filename=red.png`, {
      method: 'POST',
      headers: { authorization: `Bearer ${bob.accessToken}`, 'content-type': 'image/png' },
      body: PICTURE,
    });
    const { content_uri: url } = (await upload.json()) as { content_uri: string };
    await bob.call('PUT', `${room()}/send/m.room.message/5`, {
      msgtype: 'm.image',
      body: 'red.png',
      url,
      info: { w: 8, h: 8, mimetype: 'image/png', size: PICTURE.length },
    });
    const shown = page.locator('.Timeline_message img[alt="red.png"]');
    await shown.waitFor();
    expect(
      await shown.evaluate(async (image: Picture) => {
        await image.decode();
        return image.naturalWidth;
      }),
    ).toBe(8);
  });

  it('is still logged in when the page is loaded again, and pages back to the beginning', async () => {
    for (let index = 0; index < LINES; index++) {
      await bob.call('PUT', `${room()}/send/m.room.message/line${index}`, {
        msgtype: 'm.text',
        body: `line ${index};`,
      });
    }
    await page.reload();
    await message(`line ${LINES - 1};`).waitFor();
    const first = page.getByText('@bob:localhost named the room');
    const timeline = page.locator('.Timeline_scroller');
    await expect
      .poll(async () => {
        await timeline.evaluate((element: Scroller) => element.scrollTo(0, 0));
        return first.isVisible();
      })
      .toBe(true);
    const lines = await page.locator('.Timeline_message .Timeline_messageBody').allTextContents();
    const numbers = lines.flatMap((line) => /line (\d+);/.exec(line)?.[1] ?? []).map(Number);
    expect(numbers).toEqual(Array.from({ length: LINES }, (_, index) => index));
  });

  it('says secrets with another client', async () => {
    const carol = clientOf(stele.url, await registerAccount(stele.url, 'carol'));
    try {
      await startSyncing(carol, { withCrypto: true });
      const { room_id: secretId } = await carol.createRoom({
        name: 'Under the stones',
        invite: ['@alice:localhost'],
        initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
      });
      await page.locator('.RoomList').getByText('Under the stones').click();
      await page.getByRole('button', { name: 'Accept' }).click();
      await page.getByPlaceholder('Send an encrypted message…').waitFor();
      await onceTrue(carol, () => carol.getRoom(secretId)?.getJoinedMemberCount() === 2);
      await carol.sendTextMessage(secretId, 'There is a chamber');
      await message('There is a chamber').waitFor();
      await say('Who else knows?');
      expect((await messageIn(carol, secretId, 'Who else knows?')).isEncrypted()).toBe(true);
    } finally {
      carol.stopClient();
    }
  });

  it('says how far it has read', async () => {
    const tile = page.locator('.RoomList li', { hasText: 'Standing stones' });
    await tile.click();
    await tile.locator('.badge').waitFor({ state: 'hidden' });
    const { event_id: lastId } = await lastOf(bob);
    const isRead = async (): Promise<boolean> => {
      const { rooms } = (await bob.call('GET', '/sync')) as unknown as Synced;
      const receipts = rooms.join[roomId]?.ephemeral.events.find(({ type }) => type === 'm.receipt')?.content;
      return receipts?.[lastId]?.['m.read']?.['@alice:localhost'] !== undefined;
    };
    await expect.poll(isRead).toBe(true);
  });

  it('complained of nothing, and neither did the server', () => {
    expect(complaints).toEqual([]);
    expect(stele.logged('error')).toEqual([]);
  });

  it('goes on by itself after the server was killed', async () => {
    await stele.stop('SIGKILL');
    await stele.start();
    await bob.call('PUT', `${room()}/send/m.room.message/6`, { msgtype: 'm.text', body: 'I am back' });
    await message('I am back').waitFor();
    await say('So am I');
    expect(await lastOf(bob)).toMatchObject({ content: { body: 'So am I' } });
    expect(stele.logged('error')).toEqual([]);
  });

  function room(): string {
    return `/rooms/${encodeURIComponent(roomId)}`;
  }

  async function lastOf(user: TestUser): Promise<RoomEvent> {
    const { chunk } = (await user.call('GET', `${room()}/messages?dir=b&limit=1`)) as { chunk: RoomEvent[] };
    const [last] = chunk;
    if (last === undefined) throw new Error('the room is empty');
    return last;
  }

  async function onceSeen(matches: (event: RoomEvent) => boolean): Promise<void> {
    const recent = async (): Promise<RoomEvent[]> => {
      const { chunk } = (await bob.call('GET', `${room()}/messages?dir=b&limit=10`)) as { chunk: RoomEvent[] };
      return chunk;
    };
    await expect.poll(async () => (await recent()).some(matches)).toBe(true);
  }

  function message(text: string) {
    return page.locator('.Timeline_message', { hasText: text });
  }

  async function say(text: string): Promise<void> {
    const composer = page.locator('.MessageComposer textarea');
    await composer.fill(text);
    await composer.press('Enter');
    await message(text).and(page.locator(':not(.unsent)')).waitFor();
  }
});

/** The folder of the kit's files, if it is installed. */
function findHydrogen(): string | undefined {
  try {
    return path.dirname(createRequire(import.meta.url).resolve(HYDROGEN));
  } catch {
    return undefined;
  }
}

/** Puts the client into a folder as a web server would serve it. */
async function buildHydrogen(outDir: string): Promise<void> {
  const { build } = await import('vite');
  await build({
    configFile: false,
    root: PAGE.pathname,
    base: './',
    logLevel: 'error',
    build: { outDir, emptyOutDir: true, target: 'esnext', minify: false, assetsInlineLimit: 0 },
  });
  await copyFile(path.join(hydrogen ?? '', 'sw.js'), path.join(outDir, 'sw.js'));
}
