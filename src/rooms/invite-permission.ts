/** Users who do not want to be invited. https://spec.matrix.org/v1.19/client-server-api/#invite-permission */
import { accountData } from '#projections/account-data/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { MatrixError } from '#src/http/errors.ts';

const CONFIG_TYPE = 'm.invite_permission_config';

/** Whether a user of this server has all invites turned down. */
export function blocksInvites(reader: Reader, userId: string): boolean {
  const json = accountData(reader, userId, CONFIG_TYPE);
  if (json === undefined) return false;
  const config: unknown = parseJson(json);
  return isJsonObject(config) && config['default_action'] === 'block';
}

/** @throws {MatrixError} M_INVITE_BLOCKED if a user has all invites turned down. */
export function requireInvitable(reader: Reader, userId: string): void {
  if (blocksInvites(reader, userId))
    throw new MatrixError('M_INVITE_BLOCKED', `${userId} does not want to be invited.`);
}
