/** Previews of links, with the pages served by this process. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

/** One red pixel. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);

let web: Server;
let base: string;
/** What was asked for, in order. */
let asked: string[] = [];
const pages = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>();

beforeAll(async () => {
  web = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const page = pages.get(path);
    if (page === undefined) response.writeHead(404).end();
    else page(request, response);
  });
  const listening = Promise.withResolvers<void>();
  web.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  base = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
});
afterAll(() => web.close());

let app: TestApplication | undefined;
let alice: TestClient;
async function start(previews: object = { enabled: true, allow_private_addresses: true }): Promise<void> {
  app = await startApplication({ media: { url_previews: previews } });
  alice = await app.register('alice');
  asked = [];
}
afterEach(async () => {
  await app?.close();
  app = undefined;
  pages.clear();
});

function serve(path: string, type: string, body: string | Buffer): void {
  pages.set(path, (_request, response) => response.writeHead(200, { 'content-type': type }).end(body));
}
const preview = (url: string) =>
  alice.call('GET', `/_matrix/client/v1/media/preview_url?url=${encodeURIComponent(url)}`);

test('a page with OpenGraph shows what it says of itself, with its image stored here', async () => {
  await start();
  serve('/pixel.png', 'image/png', PNG);
  serve(
    '/page',
    'text/html',
    `<html><head><title>Not this</title>
     <meta property="og:title" content="The  Rock &amp; more"><meta property="og:type" content="video.movie">
     <meta property="og:image" content="pixel.png"><meta property="evil:thing" content="x"></head></html>`,
  );
  const { status, body } = await preview(`${base}/page#part`);
  expect(status).toBe(200);
  expect(body).toEqual({
    'og:title': 'The Rock & more',
    'og:type': 'video.movie',
    'og:image': expect.stringMatching(/^mxc:\/\/localhost\/[\w-]{22}$/),
    'og:image:type': 'image/png',
    'og:image:width': 1,
    'og:image:height': 1,
    'matrix:image:size': PNG.length,
  });
  const image = await app?.http.inject({
    url: `/_matrix/client/v1/media/download/${String(body['og:image']).slice('mxc://'.length)}`,
    headers: { authorization: `Bearer ${alice.accessToken}` },
  });
  expect(image?.rawPayload.equals(PNG)).toBe(true);
  await preview(`${base}/page`);
  expect(asked).toEqual(['/page', '/pixel.png']);
});

test('a page that does not describe itself is described by its title, its text and its first image', async () => {
  await start();
  serve('/pixel.png', 'image/png', PNG);
  serve(
    '/plain',
    'text/html; charset=iso-8859-1',
    Buffer.from(
      '<title>Caf\xe9</title><style>p{}</style><nav>menu</nav><p>Good <b>morning</b></p><script>x()</script><img src=/pixel.png>',
      'latin1',
    ),
  );
  expect((await preview(`${base}/plain`)).body).toMatchObject({
    'og:title': 'Café',
    'og:description': 'Good morning',
    'og:image': expect.any(String),
  });
});

test('a page that offers oEmbed is described by that', async () => {
  await start();
  serve('/oembed', 'application/json', JSON.stringify({ title: 'A film', provider_name: 'Films', html: '<b>' }));
  serve('/film', 'text/html', '<link rel="alternate" type="application/json+oembed" href="/oembed"><title>x</title>');
  expect((await preview(`${base}/film`)).body).toEqual({ 'og:title': 'A film', 'og:site_name': 'Films' });
});

test('an image is its own preview, and other files have none', async () => {
  await start();
  serve('/a%20cat.png', 'image/png', PNG);
  serve('/file.zip', 'application/zip', 'PK');
  expect((await preview(`${base}/a%20cat.png`)).body).toMatchObject({
    'og:title': 'a cat.png',
    'og:image': expect.any(String),
  });
  expect(await preview(`${base}/file.zip`)).toMatchObject({ status: 200, body: {} });
});

test('redirects are followed, to an end', async () => {
  await start();
  const redirect = (from: string, to: string) =>
    pages.set(from, (_request, response) => response.writeHead(302, { location: to }).end());
  serve('/end', 'text/html', '<title>Here</title>');
  redirect('/start', '/end');
  redirect('/round', '/round');
  redirect('/file', 'file:///etc/passwd');
  expect((await preview(`${base}/start`)).body).toMatchObject({ 'og:title': 'Here' });
  expect(errorOf(await preview(`${base}/round`))).toBe('502 M_UNKNOWN');
  expect(asked.length).toBeLessThan(12);
  expect(errorOf(await preview(`${base}/file`))).toBe('400 M_INVALID_PARAM');
});

test('of a page without an end only the beginning is read', async () => {
  await start();
  pages.set('/endless', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).write('<title>Endless</title>');
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    };
    response.on('drain', more);
    more();
  });
  expect((await preview(`${base}/endless`)).body).toMatchObject({ 'og:title': 'Endless' });
});

test('a link that leads into the own network is not followed, directly or round a corner', async () => {
  await start({ enabled: true });
  serve('/secret', 'text/html', '<title>secret</title>');
  for (const url of [
    `${base}/secret`,
    base.replace('127.0.0.1', 'localhost'),
    'http://[::1]/',
    'http://169.254.169.254/',
  ]) {
    expect((await preview(url)).status).toBeGreaterThanOrEqual(400);
  }
  expect(errorOf(await preview(`${base}/secret`))).toBe('403 M_FORBIDDEN');
  expect(asked).toEqual([]);
});

test.each(['ftp://example.org/', 'javascript:alert(1)', 'nonsense', 'http://user:password@example.org/', ''])(
  '%j is no link to preview',
  async (url) => {
    await start();
    expect(errorOf(await preview(url))).toBe('400 M_INVALID_PARAM');
  },
);

test('what cannot be had is said to be so', async () => {
  await start();
  expect(errorOf(await preview(`${base}/nothing`))).toBe('502 M_UNKNOWN');
  pages.set('/broken', (request) => request.socket.destroy());
  expect(errorOf(await preview(`${base}/broken`))).toBe('502 M_UNKNOWN');
});

test('previews are off unless they are turned on', async () => {
  await start({});
  expect(errorOf(await preview(`${base}/page`))).toBe('403 M_FORBIDDEN');
  expect(asked).toEqual([]);
});
