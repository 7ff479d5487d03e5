/** The filters that users uploaded. */
import { hash } from 'node:crypto';
import { ZodError } from 'zod';
import { filterCount, filterJson } from '#projections/account-data/queries.ts';
import { filterRecord } from '#projections/account-data/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { badJson, MatrixError } from '#src/http/errors.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';
import { compileFilter } from './filter.ts';

/** Most filters of one user. Clients make a few, and the same ones again get the same id. */
export const MAX_FILTERS_PER_USER = 1000;
/** Largest filter, in bytes of JSON. */
export const MAX_FILTER_BYTES = 64 * 1024;

const FILTER_ID_LENGTH = 16;
/** Longest id that is looked up; those that the server gives out are shorter. */
const MAX_FILTER_ID_LENGTH = 64;

/**
 * Stores a filter for a user and gives its id; the same filter has the same id.
 * @throws {MatrixError} `M_BAD_JSON`, `M_TOO_LARGE`, `M_RESOURCE_LIMIT_EXCEEDED`.
 */
export async function addFilter(context: UserStreamContext, userId: string, filter: JsonObject): Promise<string> {
  checkFilter(filter);
  const json = JSON.stringify(filter);
  if (Buffer.byteLength(json) > MAX_FILTER_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `A filter may have at most ${MAX_FILTER_BYTES} bytes.`);
  }
  const filterId = hash('sha256', json, 'base64url').slice(0, FILTER_ID_LENGTH);
  await changeUser(context, userId, () => {
    if (filterJson(context.reader, userId, filterId) !== undefined) return [];
    if (filterCount(context.reader, userId) >= MAX_FILTERS_PER_USER) {
      throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', `A user can have at most ${MAX_FILTERS_PER_USER} filters.`);
    }
    return [filterRecord(context.newRecordId(), { userId, filterId, filterJson: json })];
  });
  return filterId;
}

/** JSON text of a filter as it was uploaded; undefined if the user has none of this id. */
export function storedFilterJson(reader: Reader, userId: string, filterId: string): string | undefined {
  return filterId.length <= MAX_FILTER_ID_LENGTH ? filterJson(reader, userId, filterId) : undefined;
}

function checkFilter(filter: JsonObject): void {
  try {
    compileFilter(filter);
  } catch (error) {
    if (error instanceof ZodError) throw badJson(`This is not a filter: ${firstIssue(error)}.`);
    throw error;
  }
}

function firstIssue(error: ZodError): string {
  const issue = error.issues[0];
  return issue === undefined ? 'it has the wrong shape' : `${issue.path.join('.')}: ${issue.message}`;
}
