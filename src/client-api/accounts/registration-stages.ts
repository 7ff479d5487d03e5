import type { Accounts } from '#src/accounts/accounts.ts';
import type { Stage } from '#src/accounts/interactive-auth.ts';
import { missingParam } from '#src/http/errors.ts';

export const DUMMY = 'm.login.dummy';
export const REGISTRATION_TOKEN = 'm.login.registration_token';

/** Where the stage leaves the token. */
export const FOUND_TOKEN = 'registration token';

/** Dummy authentication: always succeeds. */
export const dummyStage: Stage = async () => undefined;

/** A token that lets people register. One of its uses is held until the session is over. */
export function registrationTokenStage(accounts: Accounts): Stage {
  return async ({ token }, session) => {
    if (token === undefined) throw missingParam('auth.token');
    const held = typeof token === 'string' ? accounts.registrationTokens.reserve(token) : undefined;
    if (typeof token !== 'string' || held === undefined) {
      return { errcode: 'M_UNAUTHORIZED', error: 'The registration token is not valid.' };
    }
    session.onEnd(() => held.release());
    session.found.set(FOUND_TOKEN, token);
    return undefined;
  };
}
