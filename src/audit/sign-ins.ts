/** Sign-ins and what confirms who somebody is, on record. */
import { createHash } from 'node:crypto';
import type { Context } from '#src/context.ts';
import { MatrixError } from '#src/http/errors.ts';

/** An attempt of somebody to show who they are. */
export interface SignInAttempt {
  /** The account as it was named. It goes into no record unless it is one of this server: people type passwords there. */
  readonly named: string;
  /** The account that was meant, whether there is one or not. */
  readonly userId: string | undefined;
  readonly ip: string;
  /** The request that needed it: `POST /_matrix/client/v3/login`. */
  readonly operation: string;
}

/**
 * Puts a failed attempt on record: the first of an address and an account at once, those after it as a count. That takes as
 * long for accounts that there are as for others.
 */
export async function noteFailedSignIn(
  { repeats, accounts }: Pick<Context, 'repeats' | 'accounts'>,
  { named, userId, ip, operation }: SignInAttempt,
  why: string,
): Promise<void> {
  const isKnown = userId !== undefined && accounts.find(userId) !== undefined;
  const target = isKnown ? ({ kind: 'user', id: userId } as const) : undefined;
  const subject = createHash('sha256')
    .update(userId ?? named)
    .digest('base64url');
  await repeats.note(
    {
      actor: { kind: 'stranger' },
      action: 'session.fail',
      outcome: 'refused',
      target,
      ip,
      why: isKnown ? why : `${why} There is no such account.`,
      after: { operation },
    },
    subject,
  );
}

/** Runs what lets somebody in, and puts it on record where it refuses them. Throws what it throws. */
export async function notingRefusal<Result>(
  context: Pick<Context, 'repeats' | 'accounts'>,
  attempt: SignInAttempt,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MatrixError && (error.status === 403 || error.status === 401 || error.status === 429)) {
      await noteFailedSignIn(context, attempt, `${error.errcode}: ${error.message}`);
    }
    throw error;
  }
}
