/** User-interactive authentication as the endpoints of accounts use it. */
import { z } from 'zod';
import type { FailedAttempt, InteractiveSession, Stage } from '#src/accounts/interactive-auth.ts';
import { noteFailedSignIn, notingRefusal } from '#src/audit/sign-ins.ts';
import type { Context } from '#src/context.ts';
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
  readonly ip: string;
}

/** What asking for the password needs. */
export type ConfirmingContext = Pick<Context, 'accounts' | 'repeats'>;

/** Has the password of the account asked for, then does the work for that account. */
export function confirmedByPassword(
  context: ConfirmingContext,
  { operation, body, requester, ip }: ConfirmedRequest,
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
    stages: { [PASSWORD]: passwordStage(context, { operation, requesterId: requester?.userId, ip }) },
  };
  return context.accounts.interactive.run(request, (session) => work(foundUser(session)));
}

function passwordStage(
  context: ConfirmingContext,
  {
    operation,
    requesterId,
    ip,
  }: { readonly operation: string; readonly requesterId: string | undefined; readonly ip: string },
): Stage {
  const { accounts } = context;
  return async (auth, session) => {
    const parsed = passwordAuthSchema.safeParse(auth);
    if (!parsed.success)
      return { errcode: 'M_BAD_JSON', error: 'The authentication data does not have the right shape.' };
    if (parsed.data.password === undefined) throw missingParam('auth.password');
    const named = namedUser(parsed.data);
    const userId = named === undefined ? undefined : accounts.userIdOf(named);
    if (requesterId !== undefined && userId !== requesterId) throw forbidden('This is another account than yours.');
    const { password } = parsed.data;
    const attempt = { named: named ?? '', userId, ip, operation };
    const verified = await notingRefusal(context, attempt, async () => {
      if (requesterId === undefined) accounts.countAttempt(userId);
      return accounts.verifyPassword(userId, password);
    });
    if (verified === undefined || userId === undefined) {
      await noteFailedSignIn(context, attempt, WRONG_PASSWORD.error);
      return WRONG_PASSWORD;
    }
    session.found.set(FOUND_USER, userId);
    return undefined;
  };
}

function foundUser({ found }: InteractiveSession): string {
  const userId = found.get(FOUND_USER);
  if (userId === undefined) throw new Error('a password stage is complete without a user');
  return userId;
}
