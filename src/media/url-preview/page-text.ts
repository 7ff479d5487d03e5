/** The texts of pages, and what is found in them. */

/** Longest value of a property, in UTF-16 code units. */
export const MAX_VALUE_LENGTH = 1_000;

/** What was found in a page. */
export interface PageFindings {
  /** By name: `og:title` and the like. */
  readonly properties: ReadonlyMap<string, string>;
  readonly title: string | undefined;
  readonly description: string | undefined;
  /** The beginning of what a person would read. */
  readonly text: string;
  /** Sources of images, as written. */
  readonly images: readonly string[];
  /** Where the page is described for embedding, as written. https://oembed.com/#section4 */
  readonly oEmbed: string | undefined;
}

/** Without runs of white space, and not too long; undefined if nothing is left. */
export function tidy(text: string): string | undefined {
  const tidied = text.replace(/\s+/g, ' ').trim().slice(0, MAX_VALUE_LENGTH).toWellFormed();
  return tidied === '' ? undefined : tidied;
}

/**
 * The text of a page: in the encoding that the header names, or the page itself near its beginning, or UTF-8.
 * https://html.spec.whatwg.org/multipage/parsing.html#determining-the-character-encoding
 */
export function decodePage(bytes: Buffer, contentType: string): string {
  const named = /charset\s*=\s*["']?([\w-]+)/i;
  const label = named.exec(contentType)?.[1] ?? named.exec(bytes.toString('latin1', 0, 1024))?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(label).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}
