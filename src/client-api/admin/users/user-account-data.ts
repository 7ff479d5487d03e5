import { allAccountData } from '#projections/account-data/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonValue } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { accountOf } from './account.ts';

/**
 * `GET /_synapse/admin/v1/users/{userId}/accountdata`: what a user's clients keep here. Its encrypted parts stay encrypted.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#account-data
 */
export const userAccountData = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/{userId}/accountdata',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.account_data' },
  rateLimit: 'none',
  handler: ({ params }, context: Pick<Context, 'reader' | 'accounts' | 'serverName'>) => {
    accountOf(context, params.userId);
    const global: [string, JsonValue][] = [];
    const rooms = new Map<string, [string, JsonValue][]>();
    for (const { roomId, type, contentJson } of allAccountData(context.reader, params.userId)) {
      const entry: [string, JsonValue] = [type, parseJson(contentJson)];
      if (roomId === undefined) global.push(entry);
      else rooms.set(roomId, [...(rooms.get(roomId) ?? []), entry]);
    }
    const ofRooms = Array.from(rooms, ([roomId, entries]) => [roomId, Object.fromEntries(entries)]);
    return { account_data: { global: Object.fromEntries(global), rooms: Object.fromEntries(ofRooms) } };
  },
});
