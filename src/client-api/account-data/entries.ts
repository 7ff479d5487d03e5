/** Account data as clients and sync see it: what is stored, and the push rules, which are always there. */

import {
  type AccountDataEntry,
  accountData,
  accountDataChangesSince,
  accountDataCount,
  allAccountData,
} from '#projections/account-data/queries.ts';
import { accountDataRecord } from '#projections/account-data/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { isRoomId } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { invalidParam, MatrixError } from '#src/http/errors.ts';
import { NO_CHANGES, type PushRuleChanges } from '#src/push/rules.ts';
import { changesOfStored, rulesOf } from '#src/push/user-rules.ts';
import type { Position, RecordDraft } from '#streams/event-log.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';

export const PUSH_RULES_TYPE = 'm.push_rules';
export const FULLY_READ_TYPE = 'm.fully_read';
export const TAG_TYPE = 'm.tag';

/** Longest type, in bytes of UTF-8. */
export const MAX_ACCOUNT_DATA_TYPE_BYTES = 255;
/** Largest content, in bytes of JSON: what fits into one record, with room to spare. */
export const MAX_ACCOUNT_DATA_BYTES = 768 * 1024;

/** Most entries of one user: a few for each of very many rooms. */
export const MAX_ACCOUNT_DATA_ENTRIES = 100_000;

/** Set by other endpoints, or by the server; the same for rooms. */
const MANAGED_BY_SERVER: ReadonlySet<string> = new Set([FULLY_READ_TYPE, PUSH_RULES_TYPE]);

/** What a user changed about their push rules. It is stored as the account data from which clients get all the rules. */
export function pushRuleChangesOf(reader: Reader, userId: string): PushRuleChanges {
  const json = accountData(reader, userId, PUSH_RULES_TYPE);
  return json === undefined ? NO_CHANGES : changesOfStored(parseJson(json));
}

/** JSON text of one entry's content; undefined if there is none. */
export function accountDataJson(reader: Reader, userId: string, type: string, roomId?: string): string | undefined {
  if (type === PUSH_RULES_TYPE && roomId === undefined) return pushRulesJson(reader, userId);
  if (Buffer.byteLength(type) > MAX_ACCOUNT_DATA_TYPE_BYTES) return undefined;
  return accountData(reader, userId, type, roomId);
}

/** All account data of a user, global and of rooms, for a first sync. */
export function* accountDataForFirstSync(reader: Reader, userId: string): Generator<AccountDataEntry> {
  yield pushRulesEntry(reader, userId);
  for (const entry of allAccountData(reader, userId)) if (!isPushRules(entry)) yield entry;
}

/** What of a user's account data was set after a position, for a later sync: each entry once, as it is now. */
export function* accountDataForSync(reader: Reader, userId: string, since: Position): Generator<AccountDataEntry> {
  for (const entry of accountDataChangesSince(reader, userId, since)) {
    yield isPushRules(entry) ? pushRulesEntry(reader, userId) : entry;
  }
}

/** The record that sets an entry. @throws {MatrixError} `M_TOO_LARGE` */
export function accountDataDraft(
  context: UserStreamContext,
  userId: string,
  roomId: string | undefined,
  type: string,
  content: object,
): RecordDraft {
  const contentJson = JSON.stringify(content);
  if (Buffer.byteLength(contentJson) > MAX_ACCOUNT_DATA_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `Account data may have at most ${MAX_ACCOUNT_DATA_BYTES} bytes.`);
  }
  return accountDataRecord(context.newRecordId(), { userId, roomId, type, contentJson });
}

/**
 * Sets an entry for a client.
 * @throws {MatrixError} `M_BAD_JSON` with 405 for a type that the server manages, `M_INVALID_PARAM`, `M_TOO_LARGE`,
 * `M_RESOURCE_LIMIT_EXCEEDED`.
 */
export async function setAccountData(
  context: UserStreamContext,
  userId: string,
  roomId: string | undefined,
  type: string,
  content: JsonObject,
): Promise<void> {
  if (MANAGED_BY_SERVER.has(type)) {
    throw new MatrixError('M_BAD_JSON', `${type} cannot be set as account data.`, { status: 405 });
  }
  checkType(type);
  const draft = accountDataDraft(context, userId, roomId, type, content);
  await changeUser(context, userId, () => {
    requireRoomForEntry(context, userId, roomId, type);
    return [draft];
  });
}

/** @throws {MatrixError} `M_RESOURCE_LIMIT_EXCEEDED` if an entry would be one too many. */
export function requireRoomForEntry(
  { reader }: UserStreamContext,
  userId: string,
  roomId: string | undefined,
  type: string,
): void {
  if (accountDataCount(reader, userId) < MAX_ACCOUNT_DATA_ENTRIES) return;
  if (accountData(reader, userId, type, roomId) !== undefined) return;
  throw new MatrixError(
    'M_RESOURCE_LIMIT_EXCEEDED',
    `A user can have at most ${MAX_ACCOUNT_DATA_ENTRIES} pieces of account data.`,
  );
}

/** @throws {MatrixError} `M_INVALID_PARAM` */
export function requireRoomId(roomId: string): void {
  if (!isRoomId(roomId)) throw invalidParam('This is not a room id.');
}

function checkType(type: string): void {
  if (type === '' || Buffer.byteLength(type) > MAX_ACCOUNT_DATA_TYPE_BYTES) {
    throw invalidParam(`The type of account data has 1 to ${MAX_ACCOUNT_DATA_TYPE_BYTES} bytes.`);
  }
}

function isPushRules({ roomId, type }: AccountDataEntry): boolean {
  return type === PUSH_RULES_TYPE && roomId === undefined;
}

function pushRulesEntry(reader: Reader, userId: string): AccountDataEntry {
  return { roomId: undefined, type: PUSH_RULES_TYPE, contentJson: pushRulesJson(reader, userId) };
}

function pushRulesJson(reader: Reader, userId: string): string {
  return JSON.stringify({ global: rulesOf(userId, pushRuleChangesOf(reader, userId)) });
}
