/**
 * Scoped tokens: what somebody with a role hands to a tool or uses for one piece of work. A token has one role, a reason that stands
 * for everything done with it, an end, and perhaps a case and rooms. It reaches no further than its owner does when it is used.
 */
import { users } from '#projections/accounts/tables.ts';
import type { Reader } from '#projections/engine/reader.ts';
import {
  findScopedToken,
  listScopedTokens,
  type ScopedTokenRow,
  scopedTokenById,
} from '#projections/roles/projection.ts';
import { ROLES_STREAM, roleRecord } from '#projections/roles/records.ts';
import { MAX_TOKEN_LENGTH, tokenHash } from '#src/accounts/secrets.ts';
import { MAX_TEXT_LENGTH } from '#src/audit/audit.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { AuthenticationRequest, Requester } from '#src/http/endpoint.ts';
import { forbidden, invalidParam, MatrixError, notFound, unknownToken } from '#src/http/errors.ts';
import { isRole, type Role } from './capabilities.ts';
import { checkLimits, type Roles } from './roles.ts';
import type { Standing } from './standing.ts';

/** What scoped tokens begin with. */
export const SCOPED_TOKEN_PREFIX = 'stele_st_';
/** The longest that a token may be good. */
export const MAX_SCOPED_TOKEN_LIFETIME_MS = 90 * 24 * 60 * 60 * 1000;
/** Tokens of one user at a time, those that are over included. */
export const MAX_SCOPED_TOKENS_PER_USER = 100;
const TOKEN_BYTES = 32;
const ID_BYTES = 12;
/** What a scoped token is good for beside what declares a capability: tools ask whose it is, and who others are. */
const OPEN_PATHS: ReadonlySet<string> = new Set([
  '/_matrix/client/v3/account/whoami',
  '/_matrix/client/v3/admin/whois/{userId}',
]);

export interface ScopedTokensOptions {
  readonly roles: Roles;
  readonly commands: StreamCommands;
  readonly reader: Reader;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly newRecordId: () => Uint8Array;
  readonly random: (count: number) => Uint8Array;
}

/** A token to be made. */
export interface NewScopedToken {
  readonly userId: string;
  /** One that the user has. */
  readonly role: string;
  /** Fewer rooms than the role reaches; undefined for the role's own. */
  readonly rooms?: readonly string[] | undefined;
  /** The case that everything done with it is under; undefined where the requests say, or the role's own. */
  readonly caseId?: string | undefined;
  readonly reason: string;
  readonly lifetimeMs: number;
}

/** A token as it is handed out, the only time it is seen whole. */
export interface IssuedScopedToken {
  readonly token: string;
  readonly tokenId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

export class ScopedTokens {
  readonly #options: ScopedTokensOptions;

  constructor(options: ScopedTokensOptions) {
    this.#options = options;
  }

  /** Makes a token. @throws {MatrixError} `M_FORBIDDEN` for a role that the user does not have or that does not reach so far. */
  async create(wish: NewScopedToken): Promise<IssuedScopedToken> {
    const { commands, reader, clock, newRecordId, random } = this.#options;
    const { userId, rooms, caseId, reason, lifetimeMs } = wish;
    checkLimits({ rooms, caseId, reason });
    if (!Number.isSafeInteger(lifetimeMs) || lifetimeMs <= 0 || lifetimeMs > MAX_SCOPED_TOKEN_LIFETIME_MS) {
      throw invalidParam(`A scoped token is good for at most ${MAX_SCOPED_TOKEN_LIFETIME_MS} milliseconds.`);
    }
    const { role, grantId, ...own } = this.#standingFor(wish);
    const token = SCOPED_TOKEN_PREFIX + Buffer.from(random(TOKEN_BYTES)).toString('base64url');
    const tokenId = Buffer.from(random(ID_BYTES)).toString('base64url');
    const expiresAtMs = clock() + lifetimeMs;
    await commands.run(ROLES_STREAM, () => {
      if (listScopedTokens(reader, userId).length >= MAX_SCOPED_TOKENS_PER_USER) {
        throw invalidParam(
          `A user has at most ${MAX_SCOPED_TOKENS_PER_USER} scoped tokens. Take back those that are over.`,
        );
      }
      const limits = { rooms: rooms ?? own.rooms ?? null, caseId: caseId ?? own.caseId ?? null, reason, expiresAtMs };
      const fields = { tokenId, hash: tokenHash(token), userId, role, grantId: grantId ?? null, ...limits };
      return { records: [roleRecord(newRecordId(), 'scoped_token.created', fields)], result: undefined };
    });
    return { token, tokenId, expiresAtMs };
  }

  /** All tokens, or those of one user; also those that are over. */
  list(userId?: string): readonly ScopedTokenRow[] {
    return listScopedTokens(this.#options.reader, userId);
  }

  /** A token by its id. @throws {MatrixError} `M_NOT_FOUND` */
  find(tokenId: string): ScopedTokenRow {
    const found = tokenId.length > MAX_TEXT_LENGTH ? undefined : scopedTokenById(this.#options.reader, tokenId);
    if (found === undefined) throw notFound('There is no such scoped token.');
    return found;
  }

  /** Takes a token back. @throws {MatrixError} `M_NOT_FOUND` */
  async revoke(tokenId: string, by: string): Promise<void> {
    const { commands, newRecordId } = this.#options;
    await commands.run(ROLES_STREAM, () => {
      this.find(tokenId);
      return { records: [roleRecord(newRecordId(), 'scoped_token.revoked', { tokenId, by })], result: undefined };
    });
  }

  /**
   * Who calls with a scoped token; undefined for a token that is none.
   * @throws {MatrixError} `M_UNKNOWN_TOKEN` for one that is over or reaches nothing any more, `M_FORBIDDEN` for what needs no role
   */
  authenticate(token: string, { endpoint }: Pick<AuthenticationRequest, 'endpoint'>): Requester | undefined {
    if (!token.startsWith(SCOPED_TOKEN_PREFIX)) return undefined;
    const { reader, clock } = this.#options;
    const row = token.length > MAX_TOKEN_LENGTH ? undefined : findScopedToken(reader, tokenHash(token));
    if (row === undefined) throw unknownToken();
    if (row.expiresAtMs <= clock()) throw unknownToken(false, 'The scoped token has expired.');
    const owner = reader.get(users, [row.userId]);
    if (owner === undefined || owner.isDeactivated || owner.isLocked || owner.isSuspended) {
      throw unknownToken(false, 'The account of this scoped token may not be used.');
    }
    const own = this.#owned(row.userId, row.role, row.grantId);
    if (own === undefined) throw unknownToken(false, 'The role of this scoped token was taken back, or is over.');
    if (endpoint.auth !== 'admin' && !OPEN_PATHS.has(endpoint.path)) {
      throw forbidden('A scoped token is good for administration only.');
    }
    return {
      userId: row.userId,
      deviceId: undefined,
      tokenId: row.tokenId,
      isGuest: false,
      isAdmin: false,
      standing: {
        role: own.role,
        grantId: row.tokenId,
        rooms: row.rooms ?? undefined,
        caseId: row.caseId ?? undefined,
        isCaseFixed: row.caseId !== null,
        reason: row.reason,
      },
    };
  }

  /** The role that the owner has, and that the token draws on. */
  #owned(userId: string, role: string, grantId: string | null): Standing | undefined {
    const { reader, roles } = this.#options;
    const isAdmin = reader.get(users, [userId])?.isAdmin === true;
    return roles
      .standingsOf(userId, isAdmin)
      .find((standing) => standing.role === role && (standing.grantId ?? null) === grantId);
  }

  #standingFor({ userId, role, rooms, caseId }: NewScopedToken): Standing & { readonly role: Role } {
    const { reader, roles } = this.#options;
    const owner = reader.get(users, [userId]);
    if (owner === undefined || owner.isDeactivated) throw new MatrixError('M_NOT_FOUND', 'There is no such user here.');
    const held = isRole(role) ? roles.standingsOf(userId, owner.isAdmin).filter((one) => one.role === role) : [];
    if (held.length === 0) throw forbidden(`${userId} does not have the role ${role}.`);
    const reaching = held.find(
      (one) =>
        (rooms === undefined || one.rooms === undefined || rooms.every((room) => one.rooms?.includes(room))) &&
        (caseId === undefined || one.caseId === undefined || one.caseId === caseId),
    );
    if (reaching === undefined) throw forbidden('The role does not reach these rooms, or this case.');
    return reaching;
  }
}
