/** What a page says of itself. https://ogp.me/ */
import { Parser } from 'htmlparser2';
import { MAX_VALUE_LENGTH, type PageFindings, tidy } from './page-text.ts';

/** Most properties of one page that are kept. */
const MAX_PROPERTIES = 40;
/** Longest text that is gathered where a page does not describe itself. */
const MAX_TEXT_LENGTH = 500;
/** Images of a page that are remembered. */
const MAX_IMAGES = 10;

/** What is in a page, but is not for reading. */
const UNREAD: ReadonlySet<string> = new Set([
  'script',
  'style',
  'noscript',
  'template',
  'svg',
  'head',
  'header',
  'footer',
  'nav',
  'aside',
  'button',
  'form',
  'iframe',
  'title',
]);

/** Reads a page as far as it goes; broken ones too. */
export function readPage(html: string): PageFindings {
  const reader = new PageReader();
  const parser = new Parser(
    {
      onopentag: (name, attributes) => reader.open(name, attributes),
      onclosetag: (name) => reader.close(name),
      ontext: (text) => reader.read(text),
    },
    { decodeEntities: true, lowerCaseTags: true, lowerCaseAttributeNames: true },
  );
  parser.end(html);
  return reader.findings();
}

class PageReader {
  readonly #properties = new Map<string, string>();
  readonly #images: string[] = [];
  #title = '';
  #isTitle = false;
  #hasTitle = false;
  #description: string | undefined;
  #text = '';
  #unread = 0;
  #oEmbed: string | undefined;

  open(name: string, attributes: Readonly<Record<string, string>>): void {
    if (UNREAD.has(name)) this.#unread += 1;
    // Of several titles the first counts: those in drawings come later.
    if (name === 'title' && !this.#hasTitle) this.#isTitle = true;
    if (name === 'meta') this.#meta(attributes);
    if (name === 'link') this.#link(attributes);
    const source = attributes['src'];
    if (name === 'img' && source !== undefined && this.#images.length < MAX_IMAGES) this.#images.push(source);
  }

  close(name: string): void {
    if (UNREAD.has(name)) this.#unread = Math.max(0, this.#unread - 1);
    if (name !== 'title' || !this.#isTitle) return;
    this.#isTitle = false;
    this.#hasTitle = true;
  }

  read(text: string): void {
    if (this.#isTitle) {
      if (this.#title.length < MAX_VALUE_LENGTH) this.#title += text;
    } else if (this.#unread === 0 && this.#text.length < MAX_TEXT_LENGTH) {
      this.#text += ` ${text.slice(0, MAX_TEXT_LENGTH)}`;
    }
  }

  findings(): PageFindings {
    return {
      properties: this.#properties,
      title: tidy(this.#title),
      description: this.#description,
      text: tidy(this.#text)?.slice(0, MAX_TEXT_LENGTH) ?? '',
      images: this.#images,
      oEmbed: this.#oEmbed,
    };
  }

  #meta({ property, name, content }: Readonly<Record<string, string>>): void {
    const value = content === undefined ? undefined : tidy(content);
    if (value === undefined) return;
    const key = (property ?? name ?? '').trim().toLowerCase();
    if (key === 'description') this.#description ??= value;
    if (!/^(og|article|profile|book|video|music):[a-z0-9_:]{1,60}$/.test(key)) return;
    // The first of several counts: of images the first is the main one.
    if (this.#properties.size < MAX_PROPERTIES && !this.#properties.has(key)) this.#properties.set(key, value);
  }

  #link({ rel, type, href }: Readonly<Record<string, string>>): void {
    if (rel?.toLowerCase() === 'alternate' && type?.toLowerCase() === 'application/json+oembed') this.#oEmbed ??= href;
  }
}
