/**
 * `https://HOST/.well-known/matrix/server`: to which server a domain delegates.
 * https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names, step 3
 */
import type { Dispatcher } from 'undici';
import { ownValue } from '#protocol/json-object.ts';
import { isServerName } from '#protocol/server-name.ts';
import { undici } from '#src/net/undici.ts';
import { Lru } from '#src/sync/lru.ts';
import { AnswerTooLarge, discard, parseAnswer, readBody } from './answer-body.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** How long an answer counts that does not say how long. */
export const DEFAULT_LIFETIME_MS = 24 * HOUR_MS;
/** However long an answer says it counts, and after that time a delegation that cannot be confirmed is not used any more. */
export const MAX_LIFETIME_MS = 48 * HOUR_MS;
/** However short an answer says it counts. */
export const MIN_LIFETIME_MS = 5 * MINUTE_MS;
/** After a first failure; doubled with each that follows. */
export const FIRST_ERROR_LIFETIME_MS = 5 * MINUTE_MS;
export const MAX_ERROR_LIFETIME_MS = HOUR_MS;
/** Largest answer. */
export const MAX_WELL_KNOWN_BYTES = 50 * 1024;
/** Longest chain of redirects. */
export const MAX_REDIRECTS = 5;
/** For all of it, redirects included. */
const DEADLINE_MS = 10 * SECOND_MS;
/** Most domains whose answers are remembered. */
const MAX_REMEMBERED = 20_000;

export interface WellKnownOptions {
  /** Opens connections as the safe connector does. */
  readonly dispatcher: () => Dispatcher;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** What is known about a domain. */
interface Remembered {
  /** The server name that it delegates to; undefined if it does not. */
  readonly delegated: string | undefined;
  /** When that was found out. */
  readonly foundMs: number;
  readonly validUntilMs: number;
  readonly failures: number;
}

type Fetched =
  | { readonly delegated: string; readonly lifetimeMs: number }
  /** Whether the domain may just be in trouble at the moment. */
  | { readonly delegated: undefined; readonly isTemporary: boolean };

/** Asks domains to whom they delegate, and remembers the answers for as long as they count. */
export class WellKnown {
  readonly #options: WellKnownOptions;
  readonly #remembered = new Lru<string, Remembered>(MAX_REMEMBERED);
  readonly #underWay = new Map<string, Promise<string | undefined>>();

  constructor(options: WellKnownOptions) {
    this.#options = options;
  }

  /** The server name that a host (a DNS name) delegates to; undefined if it does not, or not validly. Never rejects. */
  delegationOf(host: string): Promise<string | undefined> {
    const name = host.toLowerCase();
    const known = this.#remembered.get(name);
    if (known !== undefined && this.#options.clock() < known.validUntilMs) return Promise.resolve(known.delegated);
    const underWay = this.#underWay.get(name);
    if (underWay !== undefined) return underWay;
    const asked = this.#ask(name, known).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, asked);
    return asked;
  }

  async #ask(host: string, before: Remembered | undefined): Promise<string | undefined> {
    const fetched = await fetchWellKnown(host, this.#options);
    const now = this.#options.clock();
    const next =
      fetched.delegated === undefined
        ? afterFailure(before, fetched.isTemporary, now)
        : { delegated: fetched.delegated, foundMs: now, validUntilMs: now + fetched.lifetimeMs, failures: 0 };
    this.#remembered.set(host, next);
    return next.delegated;
  }
}

function afterFailure(before: Remembered | undefined, isTemporary: boolean, now: number): Remembered {
  const failures = (before?.failures ?? 0) + 1;
  const lifetimeMs = Math.min(FIRST_ERROR_LIFETIME_MS * 2 ** (failures - 1), MAX_ERROR_LIFETIME_MS);
  const base = { validUntilMs: now + lifetimeMs, failures };
  // A domain that is down for an hour has not changed its mind.
  if (isTemporary && before?.delegated !== undefined && now < before.foundMs + MAX_LIFETIME_MS) {
    return { ...base, delegated: before.delegated, foundMs: before.foundMs };
  }
  return { ...base, delegated: undefined, foundMs: now };
}

const FAILED = { delegated: undefined, isTemporary: true } as const;
const INVALID = { delegated: undefined, isTemporary: false } as const;

async function fetchWellKnown(host: string, { dispatcher, clock }: WellKnownOptions): Promise<Fetched> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const seen = new Set<string>();
  const text = `https://${host}/.well-known/matrix/server`;
  // Names of digits alone are none in DNS, and URLs take them for addresses.
  if (!URL.canParse(text) || new URL(text).hostname !== host) return INVALID;
  let url = new URL(text);
  try {
    while (seen.size <= MAX_REDIRECTS) {
      if (seen.has(url.href)) return INVALID;
      seen.add(url.href);
      const { statusCode, headers, body } = await undici().request(url, {
        dispatcher: dispatcher(),
        signal,
        method: 'GET',
        headers: { accept: 'application/json' },
      });
      if (statusCode === 200) {
        const delegated = readDelegation(
          await readBody(body, [headers['content-length']].flat()[0], MAX_WELL_KNOWN_BYTES),
        );
        return delegated === undefined ? INVALID : { delegated, lifetimeMs: lifetimeOf(headers, clock()) };
      }
      discard(body);
      const next = isRedirect(statusCode) ? redirectTarget(headers['location'], url) : undefined;
      if (next === undefined) return { delegated: undefined, isTemporary: statusCode >= 500 || statusCode === 429 };
      url = next;
    }
    return INVALID;
  } catch (error) {
    return error instanceof AnswerTooLarge ? INVALID : FAILED;
  }
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/** Only to HTTPS: who listens in on the way must not be able to say who the server is. */
function redirectTarget(location: string | string[] | undefined, from: URL): URL | undefined {
  if (typeof location !== 'string' || !URL.canParse(location, from.href)) return undefined;
  const target = new URL(location, from);
  return target.protocol === 'https:' && target.username === '' && target.password === '' ? target : undefined;
}

/** The content type does not matter. */
function readDelegation(bytes: Buffer): string | undefined {
  try {
    const server = ownValue(parseAnswer(bytes), 'm.server');
    return typeof server === 'string' && isServerName(server) ? server : undefined;
  } catch {
    return undefined;
  }
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** How long an answer counts, in milliseconds. RFC 9111, sections 4.2.1, 5.1, 5.2.2 and 5.3. */
export function lifetimeOf(headers: Headers, nowMs: number): number {
  return Math.min(Math.max(statedLifetime(headers, nowMs), MIN_LIFETIME_MS), MAX_LIFETIME_MS);
}

function statedLifetime(headers: Headers, nowMs: number): number {
  const directives = new Map<string, string>();
  for (const part of [headers['cache-control'] ?? ''].flat().join(',').split(',')) {
    const [name = '', value = ''] = part.split('=', 2);
    directives.set(name.trim().toLowerCase(), value.trim().replaceAll('"', ''));
  }
  if (directives.has('no-store') || directives.has('no-cache')) return 0;
  const maxAge = directives.get('max-age');
  // What a cache on the way has kept for a while has lived so much of its life already.
  const ageMs = (secondsIn(headers['age']) ?? 0) * SECOND_MS;
  const maxAgeSeconds = secondsIn(maxAge);
  if (maxAgeSeconds !== undefined) return maxAgeSeconds * SECOND_MS - ageMs;
  const { expires, date } = headers;
  if (typeof expires !== 'string') return DEFAULT_LIFETIME_MS;
  const expiresMs = Date.parse(expires);
  // The other clock may be wrong, and is in both.
  const saidMs = typeof date === 'string' ? Date.parse(date) : Number.NaN;
  // A date that is none, such as 0, means that it has expired.
  return Number.isNaN(expiresMs) ? 0 : expiresMs - (Number.isNaN(saidMs) ? nowMs : saidMs) - ageMs;
}

function secondsIn(text: string | string[] | undefined): number | undefined {
  return typeof text === 'string' && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
}
