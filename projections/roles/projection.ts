/** Who has which role now, which scoped tokens there are, and what waits for a second person. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { bytes, defineTable, msgpack, raw, str, tuple } from '#projections/engine/table.ts';
import { type RoleLimits, readRoleRecord } from './records.ts';

/** A role that somebody has. */
export interface GrantRow extends RoleLimits {
  readonly role: string;
  readonly grantedBy: string;
  /** Milliseconds since the epoch. */
  readonly grantedAtMs: number;
}

export interface Grant extends GrantRow {
  readonly grantId: string;
  readonly userId: string;
}

/** A scoped token; see `scoped_token.created`. */
export interface ScopedTokenRow extends RoleLimits {
  readonly tokenId: string;
  readonly userId: string;
  readonly role: string;
  readonly grantId: string | null;
  readonly expiresAtMs: number;
  readonly createdAtMs: number;
}

/** What somebody asked for who wants everything opened for a while. */
export interface BreakGlassRow {
  readonly userId: string;
  readonly reason: string;
  readonly caseId: string;
  readonly durationMs: number;
  readonly requestedAtMs: number;
  /** Null while it waits for a second person. */
  readonly approvedBy: string | null;
}

/** Bytes of a token's hash. */
const HASH_BYTES = 32;

const grants = defineTable({
  name: 'roles.grants',
  key: tuple<[userId: string, grantId: string]>(str, str),
  value: msgpack<GrantRow>(),
  why: 'The roles of who asks are one range.',
});

const grantOwners = defineTable({
  name: 'roles.grant-owners',
  key: tuple<[grantId: string]>(str),
  value: str,
  why: 'A grant is taken back by its id.',
});

const scopedTokens = defineTable({
  name: 'roles.tokens',
  key: tuple<[hash: Uint8Array]>(bytes(HASH_BYTES)),
  value: msgpack<ScopedTokenRow>(),
  why: 'A token is found by its hash; the tokens themselves are not kept.',
});

const tokenHashes = defineTable({
  name: 'roles.token-hashes',
  key: tuple<[tokenId: string]>(str),
  value: raw,
  why: 'A token is taken back by its id.',
});

const breakGlass = defineTable({
  name: 'roles.break-glass',
  key: tuple<[grantId: string]>(str),
  value: msgpack<BreakGlassRow>(),
  why: 'Whoever is to approve reads what was asked for; few rows.',
});

export const rolesProjection: Projection = {
  name: 'roles',
  version: 1,
  tables: [grants, grantOwners, scopedTokens, tokenHashes, breakGlass],
  apply(tx, record) {
    const read = readRoleRecord(record);
    if (read === undefined) return;
    const atMs = record.recordedAtMs;
    switch (read.kind) {
      case 'role.granted': {
        const { grantId, userId, by, ...grant } = read.fields;
        putGrant(tx, userId, grantId, { ...grant, grantedBy: by, grantedAtMs: atMs });
        return;
      }
      case 'role.revoked': {
        const { grantId } = read.fields;
        const userId = tx.get(grantOwners, [grantId]);
        if (userId !== undefined) tx.remove(grants, [userId, grantId]);
        tx.remove(grantOwners, [grantId]);
        tx.remove(breakGlass, [grantId]);
        return;
      }
      case 'scoped_token.created': {
        const { hash, ...token } = read.fields;
        tx.put(scopedTokens, [hash], { ...token, createdAtMs: atMs });
        tx.put(tokenHashes, [token.tokenId], Buffer.from(hash));
        return;
      }
      case 'scoped_token.revoked': {
        const { tokenId } = read.fields;
        const hash = tx.get(tokenHashes, [tokenId]);
        if (hash !== undefined) tx.remove(scopedTokens, [Uint8Array.from(hash)]);
        tx.remove(tokenHashes, [tokenId]);
        return;
      }
      case 'break_glass.requested': {
        const { grantId, ...request } = read.fields;
        tx.put(breakGlass, [grantId], { ...request, requestedAtMs: atMs, approvedBy: null });
        return;
      }
      case 'break_glass.approved': {
        const { grantId, by, expiresAtMs } = read.fields;
        const request = tx.get(breakGlass, [grantId]);
        if (request === undefined) return;
        const { userId, reason, caseId } = request;
        tx.put(breakGlass, [grantId], { ...request, approvedBy: by });
        const limits = { rooms: null, caseId, reason, expiresAtMs };
        putGrant(tx, userId, grantId, { role: 'break_glass', ...limits, grantedBy: by, grantedAtMs: atMs });
      }
    }
  },
};

function putGrant(tx: Writer, userId: string, grantId: string, row: GrantRow): void {
  tx.put(grants, [userId, grantId], row);
  tx.put(grantOwners, [grantId], userId);
}

/** The grants of a user, or of everybody; those that are over too. */
export function listGrants(reader: Reader, userId?: string): Grant[] {
  const rows = reader.range(grants, userId === undefined ? {} : { prefix: [userId] });
  return Array.from(rows, ({ key: [owner, grantId], value }) => ({ userId: owner, grantId, ...value }));
}

/** A grant by its id. */
export function findGrant(reader: Reader, grantId: string): Grant | undefined {
  const userId = reader.get(grantOwners, [grantId]);
  const row = userId === undefined ? undefined : reader.get(grants, [userId, grantId]);
  return row && userId !== undefined ? { userId, grantId, ...row } : undefined;
}

/** The scoped token of a hash. */
export function findScopedToken(reader: Reader, hash: Uint8Array): ScopedTokenRow | undefined {
  return reader.get(scopedTokens, [hash]);
}

/** The scoped token of an id. */
export function scopedTokenById(reader: Reader, tokenId: string): ScopedTokenRow | undefined {
  const hash = reader.get(tokenHashes, [tokenId]);
  return hash && reader.get(scopedTokens, [Uint8Array.from(hash)]);
}

/** The scoped tokens of a user, or of everybody; those that are over too. */
export function listScopedTokens(reader: Reader, userId?: string): ScopedTokenRow[] {
  const all = Array.from(reader.range(scopedTokens), ({ value }) => value);
  return userId === undefined ? all : all.filter((token) => token.userId === userId);
}

/** What was asked for under an id. */
export function findBreakGlass(reader: Reader, grantId: string): BreakGlassRow | undefined {
  return reader.get(breakGlass, [grantId]);
}

/** Everything that was asked for, approved or not. */
export function listBreakGlass(reader: Reader): (BreakGlassRow & { readonly grantId: string })[] {
  return Array.from(reader.range(breakGlass), ({ key: [grantId], value }) => ({ grantId, ...value }));
}
