/**
 * Previews of links: what a page says of itself, with its image stored here, so that only this server and none of its users
 * shows itself to the page.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url
 */
import type { Dispatcher } from 'undici';
import { BY_SERVER } from '#projections/media/records.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { limitExceeded, MatrixError } from '#src/http/errors.ts';
import { contentTypeOf, essenceOf } from '../download-headers.ts';
import type { MediaStore } from '../media-store.ts';
import type { Thumbnailer } from '../thumbnailer.ts';
import { checkedUrl, type FetchedPage, fetchPage, firstBytes } from './fetch-page.ts';
import { decodePage, type PageFindings, tidy } from './page-text.ts';

/** Of a page no more is read: what it says of itself is near its beginning. */
const MAX_PAGE_BYTES = 1024 * 1024;
const MAX_OEMBED_BYTES = 64 * 1024;
/** Largest image that is stored for a preview. */
const MAX_PREVIEW_IMAGE_BYTES = 10 * 1024 * 1024;
/** Previews that are made at the same time. */
const MAX_AT_ONCE = 20;
const BUSY_RETRY_MS = 2_000;
/** Previews that are remembered, and for how long. */
const MAX_REMEMBERED = 1_000;
const REMEMBERED_MS = 60 * 60 * 1000;

const ACCEPT_PAGE = 'text/html, application/xhtml+xml, image/*;q=0.8, */*;q=0.1';

export interface UrlPreviewsOptions {
  readonly media: MediaStore;
  readonly thumbnails: Thumbnailer;
  readonly serverName: string;
  /** Connects to public addresses only. */
  readonly dispatcher: Dispatcher;
  readonly clock: () => number;
}

interface Remembered {
  readonly preview: JsonObject;
  readonly untilMs: number;
}

export class UrlPreviews {
  readonly #options: UrlPreviewsOptions;
  readonly #remembered = new Map<string, Remembered>();
  readonly #making = new Map<string, Promise<JsonObject>>();

  constructor(options: UrlPreviewsOptions) {
    this.#options = options;
  }

  /** Forgets what links led to. */
  clear(): void {
    this.#remembered.clear();
  }

  /**
   * What a link leads to. The same for everybody, for a while.
   * @throws {MatrixError} `M_INVALID_PARAM`, `M_FORBIDDEN`, `M_LIMIT_EXCEEDED`, or 502 where there is nothing.
   */
  async of(link: string, acceptLanguage: string | undefined): Promise<JsonObject> {
    const url = checkedUrl(link);
    const language = acceptLanguage?.slice(0, 100);
    const key = `${language ?? ''} ${url.href}`;
    const known = this.#remembered.get(key);
    if (known !== undefined && known.untilMs > this.#options.clock()) return known.preview;
    const underway = this.#making.get(key);
    if (underway !== undefined) return underway;
    if (this.#making.size >= MAX_AT_ONCE) throw limitExceeded(BUSY_RETRY_MS);
    const making = this.#make(url, language).finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    const preview = await making;
    this.#remember(key, preview);
    return preview;
  }

  #remember(key: string, preview: JsonObject): void {
    this.#remembered.delete(key);
    if (this.#remembered.size >= MAX_REMEMBERED) {
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest);
        break;
      }
    }
    this.#remembered.set(key, { preview, untilMs: this.#options.clock() + REMEMBERED_MS });
  }

  async #make(url: URL, acceptLanguage: string | undefined): Promise<JsonObject> {
    const { dispatcher } = this.#options;
    const page = await fetchPage(url, { dispatcher, accept: ACCEPT_PAGE, acceptLanguage });
    const type = essenceOf(page.contentType);
    if (type.startsWith('image/')) return this.#ofImage(page);
    if (type !== 'text/html' && type !== 'application/xhtml+xml') {
      page.body.destroy();
      return {};
    }
    // Loaded when the first page is read: most servers make no previews.
    const { readPage } = await import('./read-page.ts');
    const findings = readPage(decodePage(await firstBytes(page.body, MAX_PAGE_BYTES), page.contentType));
    const embedded = await this.#oEmbed(findings, page.url, acceptLanguage);
    return this.#describe(findings, embedded, page.url);
  }

  async #ofImage(page: FetchedPage): Promise<JsonObject> {
    const name = tidy(decodeName(page.url));
    return { ...(name !== undefined && { 'og:title': name }), ...(await orNothing(() => this.#store(page))) };
  }

  async #describe(findings: PageFindings, embedded: JsonObject, base: URL): Promise<JsonObject> {
    const { properties, title, description, text, images } = findings;
    const preview: Record<string, string | number> = {};
    for (const [name, value] of properties) if (!name.startsWith('og:image')) preview[name] = value;
    const fallbacks: [string, string | undefined][] = [
      ['og:title', textOf(embedded, 'title') ?? title],
      ['og:site_name', textOf(embedded, 'provider_name')],
      ['og:description', description ?? (text === '' ? undefined : text)],
    ];
    for (const [name, value] of fallbacks) if (value !== undefined) preview[name] ??= value;
    const source =
      properties.get('og:image:secure_url') ??
      properties.get('og:image') ??
      properties.get('og:image:url') ??
      textOf(embedded, 'thumbnail_url') ??
      images[0];
    return source === undefined ? preview : { ...preview, ...(await this.#image(source, base)) };
  }

  /** What the page offers for embedding, where it does not describe itself. */
  async #oEmbed(findings: PageFindings, base: URL, acceptLanguage: string | undefined): Promise<JsonObject> {
    if (findings.oEmbed === undefined || findings.properties.has('og:title')) return {};
    const { dispatcher } = this.#options;
    return orNothing(async () => {
      const url = checkedUrl(findings.oEmbed ?? '', base);
      const { body } = await fetchPage(url, { dispatcher, accept: 'application/json', acceptLanguage });
      const value = parseJson((await firstBytes(body, MAX_OEMBED_BYTES)).toString('utf8'));
      return isJsonObject(value) ? value : {};
    });
  }

  async #image(source: string, base: URL): Promise<JsonObject> {
    const { dispatcher } = this.#options;
    return orNothing(async () => {
      const url = checkedUrl(source, base);
      return this.#store(await fetchPage(url, { dispatcher, accept: 'image/*', acceptLanguage: undefined }));
    });
  }

  async #store({ body, contentType, url }: FetchedPage): Promise<JsonObject> {
    const { media, thumbnails, serverName } = this.#options;
    const type = contentTypeOf(contentType);
    if (type === undefined || !essenceOf(type).startsWith('image/')) {
      body.destroy();
      return {};
    }
    const bytes = await firstBytes(body, MAX_PREVIEW_IMAGE_BYTES + 1);
    if (bytes.length > MAX_PREVIEW_IMAGE_BYTES) return {};
    const stored = await media.uploadBytes(bytes, {
      uploader: BY_SERVER,
      contentType: type,
      fileName: tidy(decodeName(url)),
      announcedBytes: bytes.length,
    });
    const size = await thumbnails.dimensions(media.files.path(stored.sha256));
    return {
      'og:image': `mxc://${serverName}/${stored.mediaId}`,
      'og:image:type': essenceOf(type),
      'matrix:image:size': stored.sizeBytes,
      ...(size && { 'og:image:width': size.width, 'og:image:height': size.height }),
    };
  }
}

/** A preview without its image is better than none. */
async function orNothing(work: () => Promise<JsonObject>): Promise<JsonObject> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MatrixError && error.errcode === 'M_LIMIT_EXCEEDED') throw error;
    return {};
  }
}

function textOf(value: JsonObject, name: string): string | undefined {
  const text = Object.hasOwn(value, name) ? value[name] : undefined;
  return typeof text === 'string' ? tidy(text) : undefined;
}

/** The last part of the path. */
function decodeName({ pathname }: URL): string {
  const name = pathname.slice(pathname.lastIndexOf('/') + 1);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
