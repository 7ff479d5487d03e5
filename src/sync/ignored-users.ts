import { accountData } from '#projections/account-data/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';

const NOBODY: ReadonlySet<string> = new Set();

/** The users whom somebody ignores. https://spec.matrix.org/v1.19/client-server-api/#ignoring-users */
export function ignoredUsers(reader: Reader, userId: string): ReadonlySet<string> {
  const contentJson = accountData(reader, userId, 'm.ignored_user_list');
  if (contentJson === undefined) return NOBODY;
  const content: unknown = parseJson(contentJson);
  const users = isJsonObject(content) ? content.ignored_users : undefined;
  return isJsonObject(users) ? new Set(Object.keys(users)) : NOBODY;
}
