import { z } from 'zod';
import type { Accounts } from '#src/accounts/accounts.ts';
import { checkDeviceId, checkDeviceName, checkPassword } from '#src/accounts/credentials.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, MatrixError, missingParam } from '#src/http/errors.ts';
import { queryChoice } from '#src/http/query.ts';
import { tokenMembers } from './answers.ts';
import { authSchema } from './interactive.ts';
import { DUMMY, dummyStage, FOUND_TOKEN, REGISTRATION_TOKEN, registrationTokenStage } from './registration-stages.ts';

const bodySchema = z.object({
  auth: authSchema,
  username: z.string().optional(),
  password: z.string().optional(),
  device_id: z.string().optional(),
  initial_device_display_name: z.string().optional(),
  inhibit_login: z.boolean().optional(),
  refresh_token: z.boolean().optional(),
  guest_access_token: z.string().optional(),
});

type Wish = Omit<z.output<typeof bodySchema>, 'auth'>;

/**
 * `POST /_matrix/client/v3/register`: makes an account, also one for a guest; and makes a
 * guest's account one like any other.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register
 */
export const register = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/register',
  auth: 'none',
  rateLimit: 'register',
  query: z.object({ kind: queryChoice(['user', 'guest']).optional() }),
  body: bodySchema,
  handler: (
    { query, body: { auth, ...wish }, ip },
    { accounts, config, audit }: Pick<Context, 'accounts' | 'config' | 'audit'>,
  ) => {
    if (query.kind === 'guest') return makeGuest({ accounts, config }, wish);
    if (!config.registration.open)
      throw forbidden('Registration is not open here. Ask the administrator for an account.');
    const request = {
      operation: 'POST /_matrix/client/v3/register',
      body: wish,
      bodyIs: 'remembered' as const,
      auth,
      userId: undefined,
      flows: [[config.registration.token_required ? REGISTRATION_TOKEN : DUMMY]],
      stages: { [DUMMY]: dummyStage, [REGISTRATION_TOKEN]: registrationTokenStage(accounts) },
      precheck: () => {
        if (wish.guest_access_token !== undefined) accounts.checkGuest(wish.guest_access_token, wish.username);
        else if (wish.username !== undefined) accounts.checkUsername(wish.username);
        if (wish.password !== undefined) checkPassword(wish.password);
        if (wish.device_id !== undefined) checkDeviceId(wish.device_id);
        if (wish.initial_device_display_name !== undefined) checkDeviceName(wish.initial_device_display_name);
      },
    };
    return accounts.interactive.run(request, async ({ found }, all) => {
      const answer = await makeAccount(accounts, all, found.get(FOUND_TOKEN));
      const { user_id: userId, device_id: deviceId } = answer;
      await audit.record({
        actor: { kind: 'user', userId, ...(deviceId !== undefined && { deviceId }) },
        action: 'user.register',
        target: { kind: 'user', id: userId },
        ip,
        after: { device_id: deviceId, was_guest: all.guest_access_token !== undefined },
      });
      return answer;
    });
  },
});

/** Of what a guest asks for only the name of the device counts. */
async function makeGuest({ accounts, config }: Pick<Context, 'accounts' | 'config'>, wish: Wish): Promise<object> {
  const { open, token_required: isTokenRequired, guests } = config.registration;
  if (!(guests ?? (open && !isTokenRequired))) {
    throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'This server has no guest accounts.');
  }
  const { userId, session } = await accounts.registerGuest({
    deviceId: undefined,
    displayName: wish.initial_device_display_name,
    refreshes: false,
  });
  return { user_id: userId, ...(session && { device_id: session.deviceId, ...tokenMembers(session) }) };
}

async function makeAccount(
  accounts: Accounts,
  wish: Wish,
  registrationToken: string | undefined,
): Promise<{ user_id: string; device_id?: string }> {
  if (wish.password === undefined) throw missingParam('password');
  const device = {
    deviceId: wish.device_id,
    displayName: wish.initial_device_display_name,
    refreshes: wish.refresh_token === true,
  };
  const account = {
    username: wish.username,
    password: wish.password,
    isAdmin: false,
    registrationToken,
    device: wish.inhibit_login === true ? undefined : device,
  };
  const { userId, session } = await (wish.guest_access_token === undefined
    ? accounts.register(account)
    : accounts.upgradeGuest(wish.guest_access_token, account));
  if (session === undefined) return { user_id: userId };
  return { user_id: userId, device_id: session.deviceId, ...tokenMembers(session) };
}
