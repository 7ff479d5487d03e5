/**
 * One account: shown, made, changed. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#query-user-account
 */
import { z } from 'zod';
import type { UserRow } from '#projections/accounts/tables.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import { isUserId, serverNameOf } from '#protocol/identifiers.ts';
import { type ClosingContext, closeForEver } from '#src/client-api/accounts/close.ts';
import type { Context } from '#src/context.ts';
import { jsonAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, MatrixError, notFound } from '#src/http/errors.ts';

const PATH = '/_synapse/admin/v2/users/{userId}';

type AccountContext = ClosingContext & Pick<Context, 'serverName' | 'profiles'>;

const change = z.object({
  password: z.string().optional(),
  logout_devices: z.boolean().default(true),
  displayname: z.string().nullable().optional(),
  avatar_url: z.string().nullable().optional(),
  admin: z.boolean().optional(),
  deactivated: z.boolean().optional(),
  locked: z.boolean().optional(),
  threepids: z.array(z.unknown()).optional(),
  external_ids: z.array(z.unknown()).optional(),
  user_type: z.null().optional(),
});
type AccountChange = z.output<typeof change>;

/** `GET /_synapse/admin/v2/users/{userId}`. */
export const getAccount = endpoint({
  method: 'GET',
  path: PATH,
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: AccountContext) =>
    accountJson(context, params.userId, accountOf(context, params.userId)),
});

/** `PUT /_synapse/admin/v2/users/{userId}`: makes an account (201), or changes what is given of one (200). */
export const putAccount = endpoint({
  method: 'PUT',
  path: PATH,
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: change,
  audit: {
    action: 'user.create',
    describe: ({ params, body }, context: AccountContext) => {
      const user = localUser(context, params.userId);
      const { password, ...rest } = body;
      return {
        before: user === undefined ? null : accountJson(context, params.userId, user),
        after: { ...rest, ...(password !== undefined && { password: 'set' }) },
      };
    },
  },
  handler: async ({ params: { userId }, body }, context: AccountContext) => {
    if (body.threepids?.length || body.external_ids?.length) {
      throw invalidParam('This server keeps no addresses and no identities of other providers.');
    }
    const isNew = localUser(context, userId) === undefined;
    if (isNew) await make(context, userId, body);
    else await modify(context, userId, body);
    await setProfile(context, userId, body);
    return jsonAnswer(isNew ? 201 : 200, accountJson(context, userId, accountOf(context, userId)));
  },
});

/**
 * An account of this server, closed ones too.
 * @throws {MatrixError} `M_INVALID_PARAM` for users of other servers, `M_NOT_FOUND` for one who was never there.
 */
export function accountOf(context: Pick<Context, 'accounts' | 'serverName'>, userId: string): UserRow {
  const user = localUser(context, userId);
  if (user === undefined) throw notFound('There is no such user here.');
  return user;
}

function localUser(
  { accounts, serverName }: Pick<Context, 'accounts' | 'serverName'>,
  userId: string,
): UserRow | undefined {
  if (!isUserId(userId) || serverNameOf(userId) !== serverName)
    throw invalidParam('This is not a user of this server.');
  return accounts.find(userId);
}

async function make({ accounts }: AccountContext, userId: string, body: AccountChange): Promise<void> {
  if (body.password === undefined) throw new MatrixError('M_MISSING_PARAM', 'A new account needs a password.');
  const username = userId.slice(1, userId.indexOf(':'));
  await accounts.register({ username, password: body.password, isAdmin: body.admin ?? false, device: undefined });
  if (body.locked === true) await accounts.moderation.setLocked(userId, true);
}

async function modify(context: AccountContext, userId: string, body: AccountChange): Promise<void> {
  const { accounts } = context;
  const { isDeactivated } = accountOf(context, userId);
  if (isDeactivated && body.deactivated === false) {
    throw invalidParam('A closed account is closed for ever: its keys are gone. Make one under another name.');
  }
  if (isDeactivated) return;
  if (body.password !== undefined) {
    await accounts.changePassword(userId, body.password, { removeOtherDevices: body.logout_devices });
  }
  if (body.admin !== undefined) await accounts.setAdmin(userId, body.admin);
  if (body.locked !== undefined) await accounts.moderation.setLocked(userId, body.locked);
  if (body.deactivated === true) await closeForEver(context, userId, { isErased: false });
}

async function setProfile({ profiles, accounts }: AccountContext, userId: string, body: AccountChange): Promise<void> {
  if (accounts.find(userId)?.isDeactivated !== false) return;
  for (const field of ['displayname', 'avatar_url'] as const) {
    const value = body[field];
    if (value !== undefined) await profiles.set(userId, field, value === null || value === '' ? undefined : value);
  }
}

function accountJson({ reader, accounts }: AccountContext, userId: string, user: UserRow): object {
  const { displayname = null, avatar_url = null } = profileOf(reader, userId);
  const seen = accounts.devices.list(userId).map(({ lastSeenAtMs }) => lastSeenAtMs);
  return {
    name: userId,
    displayname,
    avatar_url,
    threepids: [],
    external_ids: [],
    is_guest: user.isGuest,
    admin: user.isAdmin,
    deactivated: user.isDeactivated,
    erased: user.isErased,
    shadow_banned: user.isShadowBanned,
    locked: user.isLocked,
    suspended: user.isSuspended,
    // Of a list it is milliseconds, of one account seconds: so it is in Synapse.
    creation_ts: Math.floor(user.createdAtMs / 1000),
    last_seen_ts: seen.length === 0 ? null : Math.max(...seen),
    appservice_id: null,
    consent_server_notice_sent: null,
    consent_version: null,
    consent_ts: null,
    user_type: null,
  };
}
