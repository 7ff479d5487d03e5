import { z } from 'zod';
import { fold, wordsOf } from '#projections/search/words.ts';
import { type DirectoryCandidate, usersWithWord } from '#projections/user-directory/projection.ts';
import { localpartOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { type ShownProfile, VisibleProfiles } from './visible-profiles.ts';

/** Users when the client does not say. Source: the endpoint's specification. */
const DEFAULT_LIMIT = 10;
/** Most users. */
const MAX_LIMIT = 50;
/** Longest term, in UTF-16 code units. */
const MAX_TERM_LENGTH = 512;
/** Users that are looked at for one answer; where there are more, it is one of some of them. */
const MAX_CANDIDATES = 2000;

/**
 * `POST /_matrix/client/v3/user_directory/search`: users by their name or id, among those whom the user may know of.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch
 */
export const searchUsers = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/user_directory/search',
  auth: 'user',
  rateLimit: 'search',
  body: z.object({
    search_term: z.string().max(MAX_TERM_LENGTH),
    limit: z
      .int()
      .min(0)
      .default(DEFAULT_LIMIT)
      .transform((limit) => Math.min(limit, MAX_LIMIT)),
  }),
  handler: async ({ body, requester }, context: Context) => {
    const { reader } = context;
    const term = termOf(body.search_term);
    if (term === undefined) return { results: [], limited: false };
    const index = await context.search.readerAt(reader.frontier);
    const profiles = new VisibleProfiles(reader, context.serverName, requester.userId);
    const matches: Match[] = [];
    let candidates = 0;
    for (const candidate of [...firstOf(usersWithWord(index, term.first), MAX_CANDIDATES + 1)]) {
      if (++candidates > MAX_CANDIDATES) break;
      const match = bestMatch(candidate, profiles.of(candidate), term);
      if (match !== undefined) matches.push(match);
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    matches.sort(inOrder);
    return {
      results: matches.slice(0, body.limit).map(answerOf),
      limited: matches.length > body.limit || candidates > MAX_CANDIDATES,
    };
  },
});

interface Term {
  /** The whole term, folded, without the @ of a user id. */
  readonly folded: string;
  readonly words: readonly string[];
  /** The word by which users are looked up. */
  readonly first: string;
}

function termOf(text: string): Term | undefined {
  const trimmed = text.trim().replace(/^@/, '');
  const words = wordsOf(trimmed);
  // Of a user id the localpart is in the index; the server is only compared.
  const ofLocalpart = text.trim().startsWith('@') ? wordsOf(trimmed.split(':')[0] ?? '') : words;
  const first = ofLocalpart.reduce((longest, word) => (word.length > longest.length ? word : longest), '');
  return first === '' ? undefined : { folded: fold(trimmed), words, first };
}

/** How well a user fits: 0 for the very name, 1 for one that begins like the term, 2 for one that has its words. */
type Fit = 0 | 1 | 2;

interface Match extends ShownProfile {
  readonly userId: string;
  readonly fit: Fit;
}

function bestMatch({ userId }: DirectoryCandidate, profiles: Iterable<ShownProfile>, term: Term): Match | undefined {
  let best: Match | undefined;
  for (const profile of profiles) {
    const fit = fitOf(userId, profile.displayName, term);
    if (fit !== undefined && (best === undefined || fit < best.fit)) best = { ...profile, userId, fit };
    if (best?.fit === 0) break;
  }
  return best;
}

function fitOf(userId: string, displayName: string | undefined, { folded, words }: Term): Fit | undefined {
  const whole = [displayName ?? '', localpartOf(userId), userId.slice(1)].map(fold);
  if (whole.includes(folded)) return 0;
  if (whole.some((text) => text.startsWith(folded))) return 1;
  const own = [...wordsOf(displayName ?? ''), ...wordsOf(userId)];
  return words.every((word) => own.some((one) => one.startsWith(word))) ? 2 : undefined;
}

function inOrder(a: Match, b: Match): number {
  if (a.fit !== b.fit) return a.fit - b.fit;
  const [hasA, hasB] = [a.displayName !== undefined, b.displayName !== undefined];
  if (hasA !== hasB) return hasA ? -1 : 1;
  return a.userId < b.userId ? -1 : 1;
}

function answerOf({ userId, displayName, avatarUrl }: Match): object {
  return {
    user_id: userId,
    ...(displayName !== undefined && { display_name: displayName }),
    ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
  };
}

function* firstOf<T>(entries: Iterable<T>, count: number): Generator<T> {
  let left = count;
  for (const entry of entries) {
    if (left-- <= 0) return;
    yield entry;
  }
}
