/**
 * Who has an account here. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-accounts-v2
 */
import { z } from 'zod';
import { type UserRow, users } from '#projections/accounts/tables.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryChoice, queryFlag, queryText, queryTexts } from '#src/http/query.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { gathered, ordered, pageOf, pageQuery } from '../paging.ts';

type ListContext = Pick<Context, 'reader' | 'accounts'>;

const ORDERS = [
  'name',
  'is_guest',
  'admin',
  'user_type',
  'deactivated',
  'shadow_banned',
  'displayname',
  'avatar_url',
  'creation_ts',
  'last_seen_ts',
  'locked',
] as const;
type Order = (typeof ORDERS)[number];

const query = z.object({
  ...pageQuery,
  user_id: queryText().optional(),
  name: queryText().optional(),
  guests: queryFlag().default(true),
  admins: queryFlag().optional(),
  locked: queryFlag().default(false),
  not_user_type: queryTexts().optional(),
  deactivated: queryFlag().optional(),
  order_by: queryChoice(ORDERS).default('name'),
});
type UsersQuery = z.output<typeof query>;

interface ListedUser {
  readonly name: string;
  readonly user_type: null;
  readonly is_guest: boolean;
  readonly admin: boolean;
  readonly deactivated: boolean;
  readonly shadow_banned: boolean;
  readonly displayname: string | null;
  readonly avatar_url: string | null;
  readonly creation_ts: number;
  readonly last_seen_ts: number | null;
  readonly erased: boolean;
  readonly approved: true;
  readonly locked: boolean;
}

/** `GET /_synapse/admin/v2/users`: closed accounts only where they are asked for. */
export const listUsers = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v2/users',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.list' },
  rateLimit: 'none',
  query,
  handler: ({ query }, context: ListContext) =>
    listed(context, query, ({ isDeactivated }) => query.deactivated === true || !isDeactivated),
});

/** `GET /_synapse/admin/v3/users`: closed accounts too, unless it is said which. */
export const listUsersWithClosed = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v3/users',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.list' },
  rateLimit: 'none',
  query,
  handler: ({ query }, context: ListContext) =>
    listed(
      context,
      query,
      ({ isDeactivated }) => query.deactivated === undefined || query.deactivated === isDeactivated,
    ),
});

async function listed(context: ListContext, query: UsersQuery, isIn: (user: UserRow) => boolean): Promise<object> {
  const all = await gathered(context.reader, users, sharedPacer, ([userId], user) =>
    isIn(user) && isAskedFor(query, userId, user) ? described(context, userId, user) : undefined,
  );
  const matching = all.filter((user) => hasName(query, user));
  const order: Order = query.order_by;
  const { page, next } = pageOf(
    ordered(matching, (user) => user[order], query.dir),
    query,
  );
  return { users: page, total: matching.length, ...(next !== undefined && { next_token: String(next) }) };
}

function isAskedFor(query: UsersQuery, userId: string, user: UserRow): boolean {
  if (!query.guests && user.isGuest) return false;
  if (query.admins !== undefined && query.admins !== user.isAdmin) return false;
  if (!query.locked && user.isLocked) return false;
  return query.user_id === undefined || userId.toLowerCase().includes(query.user_id.toLowerCase());
}

/** By Synapse's rule a user id counts before a name. */
function hasName({ user_id, name }: UsersQuery, user: ListedUser): boolean {
  if (user_id !== undefined || name === undefined) return true;
  const wanted = name.toLowerCase();
  const localpart = user.name.slice(1, user.name.indexOf(':'));
  return localpart.toLowerCase().includes(wanted) || (user.displayname ?? '').toLowerCase().includes(wanted);
}

function described({ reader, accounts }: ListContext, userId: string, user: UserRow): ListedUser {
  const { displayname = null, avatar_url = null } = profileOf(reader, userId);
  const seen = accounts.devices.list(userId).map(({ lastSeenAtMs }) => lastSeenAtMs);
  return {
    name: userId,
    user_type: null,
    is_guest: user.isGuest,
    admin: user.isAdmin,
    deactivated: user.isDeactivated,
    shadow_banned: user.isShadowBanned,
    displayname,
    avatar_url,
    creation_ts: user.createdAtMs,
    last_seen_ts: seen.length === 0 ? null : Math.max(...seen),
    erased: user.isErased,
    approved: true,
    locked: user.isLocked,
  };
}
