import type { IssuedTokens } from '#src/accounts/sessions.ts';

/** Tokens as clients get them. */
export function tokenMembers({ accessToken, refreshToken, expiresInMs }: IssuedTokens) {
  return {
    access_token: accessToken,
    ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    ...(expiresInMs !== undefined && { expires_in_ms: expiresInMs }),
  };
}
