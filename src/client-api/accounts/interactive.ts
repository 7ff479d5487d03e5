/** User-interactive authentication as the endpoints of accounts use it. */
import { z } from 'zod';
import type { Accounts } from '#src/accounts/accounts.ts';
import type { FailedAttempt, InteractiveSession, Stage } from '#src/accounts/interactive-auth.ts';
import type { RawAnswer } from '#src/http/answer.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { forbidden, missingParam } from '#src/http/errors.ts';
import { namedUser, namedUserSchema } from './identifier.ts';

/** The member `auth` of a body. */
export const authSchema = z.looseObject({ type: z.string().optional(), session: z.string().optional() }).optional();

const passwordAuthSchema = namedUserSchema.extend({ password: z.string().optional() });

const PASSWORD = 'm.login.password';
const WRONG_PASSWORD: FailedAttempt = { errcode: 'M_FORBIDDEN', error: 'The user name or the password is wrong.' };
/** Where the stage leaves whose password it was. */
const FOUND_USER = 'user id';

/** A request that has to be confirmed with the account's password. */
export interface ConfirmedRequest {
  /** Method and path, parameters filled in. */
  readonly operation: string;
  readonly body: { readonly auth?: z.output<typeof authSchema> };
  /** Undefined where nobody is logged in: whose account it is then shows by the password. */
  readonly requester: Requester | undefined;
}

/** Has the password of the account asked for, then does the work for that account. */
export function confirmedByPassword(
  accounts: Accounts,
  { operation, body, requester }: ConfirmedRequest,
  work: (userId: string) => Promise<object>,
): Promise<object | RawAnswer> {
  const { auth, ...rest } = body;
  const request = {
    operation,
    body: rest,
    bodyIs: 'bound' as const,
    auth,
    userId: requester?.userId,
    flows: [[PASSWORD]],
    stages: { [PASSWORD]: passwordStage(accounts, requester?.userId) },
  };
  return accounts.interactive.run(request, (session) => work(foundUser(session)));
}

function passwordStage(accounts: Accounts, requesterId: string | undefined): Stage {
  return async (auth, session) => {
    const parsed = passwordAuthSchema.safeParse(auth);
    if (!parsed.success)
      return { errcode: 'M_BAD_JSON', error: 'The authentication data does not have the right shape.' };
    if (parsed.data.password === undefined) throw missingParam('auth.password');
    const named = namedUser(parsed.data);
    const userId = named === undefined ? undefined : accounts.userIdOf(named);
    if (requesterId !== undefined && userId !== requesterId) throw forbidden('This is another account than yours.');
    if (requesterId === undefined) accounts.countAttempt(userId);
    const verified = await accounts.verifyPassword(userId, parsed.data.password);
    if (verified === undefined || userId === undefined) return WRONG_PASSWORD;
    session.found.set(FOUND_USER, userId);
    return undefined;
  };
}

function foundUser({ found }: InteractiveSession): string {
  const userId = found.get(FOUND_USER);
  if (userId === undefined) throw new Error('a password stage is complete without a user');
  return userId;
}
