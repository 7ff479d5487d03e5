/** Fetches what a stranger's link leads to, within bounds: of size, time, redirects, and of where it leads. */
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { forbidden, invalidParam, MatrixError } from '#src/http/errors.ts';
import { AddressRefused } from '#src/net/safe-connector.ts';
import { undiciLoaded } from '#src/net/undici.ts';

/** Redirects that are followed. */
const MAX_REDIRECTS = 5;
/** For everything that one request fetches, redirects included. */
const TIMEOUT_MS = 15_000;
/** Longest link. */
const MAX_URL_LENGTH = 2_048;
/** Says who asks, so that those who do not want it can say so. */
const USER_AGENT = 'Stele (link preview; +https://matrix.org)';

/** What a link led to. */
export interface FetchedPage {
  /** Where it led in the end. */
  readonly url: URL;
  /** As the other side says; empty if it says nothing. */
  readonly contentType: string;
  /** Decompressed. Destroy it when it is not read to its end. */
  readonly body: Readable;
}

export interface FetchPageOptions {
  /** Connects to public addresses only: see safe-connector.ts. */
  readonly dispatcher: Dispatcher;
  readonly accept: string;
  /** The languages that whoever asked likes to read. */
  readonly acceptLanguage: string | undefined;
}

/**
 * The link, if it is one that may be followed.
 * @throws {MatrixError} `M_INVALID_PARAM` for what is no http or https URL, or has a password in it.
 */
export function checkedUrl(text: string, base?: URL): URL {
  const url = text.length > MAX_URL_LENGTH ? null : URL.parse(text, base?.href);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw invalidParam('This is not an http or https URL.');
  }
  if (url.username !== '' || url.password !== '') throw invalidParam('Links with passwords in them are not previewed.');
  url.hash = '';
  return url;
}

/**
 * Follows a link to its end.
 * @throws {MatrixError} `M_FORBIDDEN` where it leads to an address that is not public, `M_UNKNOWN` (502) where there is nothing.
 */
export async function fetchPage(start: URL, options: FetchPageOptions): Promise<FetchedPage> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let url = start;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const answer = await ask(url, options, signal);
    const location = answer.status >= 300 && answer.status < 400 ? answer.headers.get('location') : null;
    if (location !== null) {
      await answer.body?.cancel();
      url = checkedUrl(location, url);
      continue;
    }
    if (answer.status !== 200 || answer.body === null) {
      await answer.body?.cancel();
      throw nothingThere(`The link was answered with ${answer.status}.`);
    }
    return { url, contentType: answer.headers.get('content-type') ?? '', body: Readable.fromWeb(answer.body) };
  }
  throw nothingThere('The link leads from one place to the next, and to no end.');
}

async function ask(url: URL, { dispatcher, accept, acceptLanguage }: FetchPageOptions, signal: AbortSignal) {
  try {
    return await (await undiciLoaded()).fetch(url, {
      dispatcher,
      redirect: 'manual',
      signal,
      headers: { accept, 'user-agent': USER_AGENT, ...(acceptLanguage && { 'accept-language': acceptLanguage }) },
    });
  } catch (error) {
    if (isRefused(error)) throw forbidden('The link does not lead to a public address.');
    throw nothingThere('The link could not be followed.', error);
  }
}

/** At most so many first bytes of a body, whose rest is not fetched. */
export async function firstBytes(body: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      chunks.push(Buffer.from(chunk as Uint8Array));
      size += chunks.at(-1)?.length ?? 0;
      if (size >= maxBytes) break;
    }
  } catch (error) {
    throw nothingThere('The page broke off.', error);
  } finally {
    body.destroy();
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}

function isRefused(error: unknown): boolean {
  for (let one: unknown = error; one instanceof Error; one = one.cause) if (one instanceof AddressRefused) return true;
  return false;
}

function nothingThere(message: string, cause?: unknown): MatrixError {
  return new MatrixError('M_UNKNOWN', message, { status: 502, cause });
}
