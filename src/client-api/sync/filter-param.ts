import { z } from 'zod';
import type { Reader } from '#projections/engine/reader.ts';
import { JsonSyntaxError, JsonTooDeepError, parseJson } from '#protocol/json-limits.ts';
import { MatrixError } from '#src/http/errors.ts';
import { Lru } from '#src/sync/lru.ts';
import {
  compileFilter,
  compileRoomEventFilter,
  type Filter,
  NO_FILTER,
  NO_ROOM_EVENT_FILTER,
  type RoomEventFilter,
} from '../filters/filter.ts';
import { storedFilterJson } from '../filters/stored-filters.ts';

/** Compiled filters that are kept, by their text: so many characters of it. */
const MAX_COMPILED_CHARACTERS = 4 * 1024 * 1024;
const weigh = (_filter: unknown, text: string): number => text.length;

const compiled = new Lru<string, Filter>(MAX_COMPILED_CHARACTERS, weigh);
const compiledForEvents = new Lru<string, RoomEventFilter>(MAX_COMPILED_CHARACTERS, weigh);

/**
 * The filter that the `filter` parameter of `/sync` means: JSON, or the id of one that the user uploaded; an empty one is none.
 * @throws {MatrixError} M_INVALID_PARAM
 */
export function syncFilter(reader: Reader, userId: string, parameter: string | undefined): Filter {
  if (!parameter) return NO_FILTER;
  if (parameter.startsWith('{')) return compiledOnce(compiled, parameter, compileFilter);
  const uploaded = storedFilterJson(reader, userId, parameter);
  if (uploaded === undefined) throw new MatrixError('M_INVALID_PARAM', 'You have no filter with this id.');
  return compiledOnce(compiled, uploaded, compileFilter);
}

/**
 * The filter that the `filter` parameter of `/messages` and `/context` means.
 * @throws {MatrixError} M_INVALID_PARAM
 */
export function roomEventFilter(parameter: string | undefined): RoomEventFilter {
  if (!parameter) return NO_ROOM_EVENT_FILTER;
  return compiledOnce(compiledForEvents, parameter, compileRoomEventFilter);
}

function compiledOnce<F>(cache: Lru<string, F>, text: string, compile: (value: unknown) => F): F {
  const known = cache.get(text);
  if (known !== undefined) return known;
  try {
    const filter = compile(parseJson(text));
    cache.set(text, filter);
    return filter;
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof JsonTooDeepError)
      throw new MatrixError('M_INVALID_PARAM', 'The filter is not JSON.');
    if (error instanceof z.ZodError)
      throw new MatrixError('M_INVALID_PARAM', 'The filter does not have the right shape.');
    throw error;
  }
}
