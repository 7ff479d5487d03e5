/** Where a search goes on: behind the last result, in the order of the search, maybe within one group. */
import { z } from 'zod';
import { JsonSyntaxError, JsonTooDeepError, parseJson } from '#protocol/json-limits.ts';
import { MatrixError } from '#src/http/errors.ts';

/** Longest token: the parts of one are short. */
const MAX_TOKEN_LENGTH = 1024;

/** A place in the order of results. What comes while somebody pages is before it, so nothing is given twice. */
export interface SearchPlace {
  readonly rank: number;
  readonly sentAtS: number;
  readonly position: number;
}

/** One group of results. */
export interface SearchGroup {
  readonly key: 'room_id' | 'sender';
  readonly id: string;
}

export interface SearchToken {
  readonly after: SearchPlace;
  readonly group: SearchGroup | undefined;
}

const tokenSchema = z.tuple([
  z.number(),
  z.int().min(0),
  z.int().min(0),
  z.enum(['room_id', 'sender']).nullable(),
  z.string(),
]);

export function formatSearchToken({ after, group }: SearchToken): string {
  const parts = [after.rank, after.sentAtS, after.position, group?.key ?? null, group?.id ?? ''];
  return Buffer.from(JSON.stringify(parts), 'utf8').toString('base64url');
}

/** @throws {MatrixError} M_INVALID_PARAM if it is not one of ours. */
export function parseSearchToken(text: string): SearchToken {
  const parsed = tokenSchema.safeParse(text.length > MAX_TOKEN_LENGTH ? undefined : jsonOf(text));
  if (!parsed.success) throw new MatrixError('M_INVALID_PARAM', 'This is not a token that the server gave out.');
  const [rank, sentAtS, position, key, id] = parsed.data;
  return { after: { rank, sentAtS, position }, group: key === null ? undefined : { key, id } };
}

function jsonOf(text: string): unknown {
  try {
    return parseJson(Buffer.from(text, 'base64url').toString('utf8'));
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof JsonTooDeepError) return undefined;
    throw error;
  }
}
