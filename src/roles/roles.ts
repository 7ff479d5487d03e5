/** Who has which role: giving and taking roles, and what two people open for a while. */
import { isActiveUser } from '#projections/accounts/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import {
  type BreakGlassRow,
  findBreakGlass,
  findGrant,
  type Grant,
  listBreakGlass,
  listGrants,
} from '#projections/roles/projection.ts';
import { ROLES_STREAM, type RoleRecordKind, type RoleRecords, roleRecord } from '#projections/roles/records.ts';
import { isRoomId } from '#protocol/identifiers.ts';
import { MAX_REASON_LENGTH, MAX_TEXT_LENGTH } from '#src/audit/audit.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { forbidden, invalidParam, MatrixError, missingParam, notFound } from '#src/http/errors.ts';
import { GRANTABLE_ROLES, isRole, scopeOf } from './capabilities.ts';
import { personOf } from './person.ts';
import { ADMINISTRATOR, type Standing } from './standing.ts';

/** Roles of one user at a time, those that are over included. */
export const MAX_GRANTS_PER_USER = 50;
/** Rooms that one role or token may be limited to. */
export const MAX_ROOMS = 200;
/** The longest that everything may be open. */
export const MAX_BREAK_GLASS_MS = 24 * 60 * 60 * 1000;
/** How long a request to open everything waits for a second person. */
export const BREAK_GLASS_WAIT_MS = 24 * 60 * 60 * 1000;
/** Requests that wait at a time. */
const MAX_WAITING_REQUESTS = 100;
const ID_BYTES = 12;

export interface RolesOptions {
  readonly commands: StreamCommands;
  readonly reader: Reader;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly newRecordId: () => Uint8Array;
  readonly random: (count: number) => Uint8Array;
}

/** A role to be given. */
export interface NewGrant {
  readonly userId: string;
  readonly role: string;
  /** For a moderator which rooms, for a reviewer in which rooms the case is; undefined for the others. */
  readonly rooms?: readonly string[] | undefined;
  /** For a reviewer which case. */
  readonly caseId?: string | undefined;
  readonly reason: string;
  /** Milliseconds since the epoch; undefined for no end. */
  readonly expiresAtMs?: number | undefined;
}

/** A request that everything be opened. */
export interface NewBreakGlass {
  readonly userId: string;
  readonly reason: string;
  readonly caseId: string;
  readonly durationMs: number;
}

export class Roles {
  readonly #options: RolesOptions;

  constructor(options: RolesOptions) {
    this.#options = options;
  }

  /** The roles in which somebody can act now. A scoped token has the one that it was made for. */
  standings(requester: Requester): readonly Standing[] {
    if (requester.standing !== undefined) return [requester.standing];
    // Or one person would be two wherever two are needed.
    if (requester.isLent) return [];
    return this.standingsOf(requester.userId, requester.isAdmin);
  }

  /** The roles that a user has now. */
  standingsOf(userId: string, isAdmin: boolean): readonly Standing[] {
    const granted = listGrants(this.#options.reader, userId).filter((grant) => this.#isInForce(grant));
    return [...(isAdmin ? [ADMINISTRATOR] : []), ...granted.flatMap(standingOfGrant)];
  }

  /** All roles that were given, also those that are over. */
  list(): readonly (Grant & { readonly isInForce: boolean })[] {
    return listGrants(this.#options.reader).map((grant) => ({ ...grant, isInForce: this.#isInForce(grant) }));
  }

  /** What was asked for by those who want everything opened, approved or not. */
  breakGlassRequests(): readonly (BreakGlassRow & { readonly grantId: string })[] {
    return listBreakGlass(this.#options.reader);
  }

  /** Throws what {@link grant} would throw of what is wished for. */
  checkGrant({ userId, role, rooms, caseId, reason, expiresAtMs }: NewGrant): void {
    if (!isRole(role) || !GRANTABLE_ROLES.includes(role)) {
      throw invalidParam(`There is no role ${role} to be given; there are ${GRANTABLE_ROLES.join(', ')}.`);
    }
    if (!isActiveUser(this.#options.reader, userId)) throw notFound('There is no such user here.');
    checkLimits({ rooms, caseId, reason });
    const scope = scopeOf(role);
    if (scope === 'server' && (rooms !== undefined || caseId !== undefined)) {
      throw invalidParam(`The role ${role} is not limited to rooms or to a case.`);
    }
    if (scope === 'rooms' && (rooms === undefined || rooms.length === 0)) throw missingParam('rooms');
    if (scope === 'rooms' && caseId !== undefined) throw invalidParam(`The role ${role} is not limited to a case.`);
    if (scope === 'case' && caseId === undefined) throw missingParam('case_id');
    if (expiresAtMs !== undefined && expiresAtMs <= this.#options.clock()) {
      throw invalidParam('The end has to be a time in the future.');
    }
  }

  /**
   * Gives a role; see {@link NewGrant}. Gives the id of the grant.
   * @param by who gives it, as the audit log names them.
   * @throws {MatrixError} `M_INVALID_PARAM`, `M_MISSING_PARAM`, `M_NOT_FOUND`; `M_FORBIDDEN` for a role for oneself.
   */
  async grant(wish: NewGrant, by: string): Promise<string> {
    const { userId, role, rooms, caseId, reason, expiresAtMs } = wish;
    if (by === userId) throw forbidden('Nobody gives a role to themselves.');
    this.checkGrant(wish);
    const grantId = this.#newId();
    await this.#append('role.granted', () => {
      if (listGrants(this.#options.reader, userId).length >= MAX_GRANTS_PER_USER) {
        throw invalidParam(`A user has at most ${MAX_GRANTS_PER_USER} roles. Take back those that are over.`);
      }
      const limits = { rooms: rooms ?? null, caseId: caseId ?? null, reason, expiresAtMs: expiresAtMs ?? null };
      return { grantId, userId, role, ...limits, by };
    });
    return grantId;
  }

  /** A grant by its id. @throws {MatrixError} `M_NOT_FOUND` */
  find(grantId: string): Grant {
    const grant = grantId.length > MAX_TEXT_LENGTH ? undefined : findGrant(this.#options.reader, grantId);
    if (grant === undefined) throw notFound('There is no such grant.');
    return grant;
  }

  /** Takes a role back, and with it the scoped tokens that draw on it. @throws {MatrixError} `M_NOT_FOUND` */
  async revoke(grantId: string, by: string): Promise<void> {
    await this.#append('role.revoked', () => {
      this.find(grantId);
      return { grantId, by };
    });
  }

  /** Asks for everything to be opened; another person has to approve. Gives the id. @throws {MatrixError} `M_INVALID_PARAM` */
  async requestBreakGlass({ userId, reason, caseId, durationMs }: NewBreakGlass): Promise<string> {
    checkLimits({ caseId, reason });
    if (!Number.isSafeInteger(durationMs) || durationMs <= 0 || durationMs > MAX_BREAK_GLASS_MS) {
      throw invalidParam(`The duration is to be at most ${MAX_BREAK_GLASS_MS} milliseconds.`);
    }
    const grantId = this.#newId();
    await this.#append('break_glass.requested', () => {
      const waiting = this.breakGlassRequests().filter((request) => this.#waits(request));
      if (waiting.length >= MAX_WAITING_REQUESTS) throw new MatrixError('M_LIMIT_EXCEEDED');
      return { grantId, userId, reason, caseId, durationMs };
    });
    return grantId;
  }

  /**
   * Opens everything for who asked, from now on and as long as they asked for. Gives the end, in milliseconds since the epoch.
   * @param by who approves, as the audit log names them: somebody else than who asked.
   * @throws {MatrixError} `M_NOT_FOUND` where nothing waits under that id, `M_FORBIDDEN` for one's own request.
   */
  async approveBreakGlass(grantId: string, by: string): Promise<number> {
    return this.#append('break_glass.approved', () => {
      const request = grantId.length > MAX_TEXT_LENGTH ? undefined : findBreakGlass(this.#options.reader, grantId);
      if (request === undefined || !this.#waits(request)) throw notFound('No such request waits to be approved.');
      if (personOf(request.userId) === personOf(by)) throw forbidden('Somebody else has to approve it.');
      return { grantId, by, expiresAtMs: this.#options.clock() + request.durationMs };
    }).then(({ expiresAtMs }) => expiresAtMs);
  }

  #waits({ approvedBy, requestedAtMs }: BreakGlassRow): boolean {
    return approvedBy === null && requestedAtMs + BREAK_GLASS_WAIT_MS > this.#options.clock();
  }

  #isInForce({ expiresAtMs }: Grant): boolean {
    return expiresAtMs === null || expiresAtMs > this.#options.clock();
  }

  async #append<Kind extends RoleRecordKind>(kind: Kind, decide: () => RoleRecords[Kind]): Promise<RoleRecords[Kind]> {
    const { commands, newRecordId } = this.#options;
    const { result } = await commands.run(ROLES_STREAM, () => {
      const fields = decide();
      return { records: [roleRecord(newRecordId(), kind, fields)], result: fields };
    });
    return result;
  }

  #newId(): string {
    return Buffer.from(this.#options.random(ID_BYTES)).toString('base64url');
  }
}

/** What limits roles and tokens makes sense. @throws {MatrixError} `M_INVALID_PARAM`, `M_MISSING_PARAM` */
export function checkLimits({
  rooms,
  caseId,
  reason,
}: {
  readonly rooms?: readonly string[] | undefined;
  readonly caseId?: string | undefined;
  readonly reason: string;
}): void {
  if (reason.trim() === '') throw missingParam('reason');
  if (reason.length > MAX_REASON_LENGTH) throw invalidParam('The reason is too long.');
  if (caseId !== undefined && (caseId.trim() === '' || caseId.length > MAX_TEXT_LENGTH)) {
    throw invalidParam('The case id is empty or too long.');
  }
  if (rooms === undefined) return;
  if (rooms.length > MAX_ROOMS) throw invalidParam(`At most ${MAX_ROOMS} rooms can be named.`);
  if (!rooms.every(isRoomId)) throw invalidParam('One of the rooms is not a room id.');
}

/** The standing that a grant gives; none for a role that this release does not know. */
function standingOfGrant({ role, grantId, rooms, caseId, reason }: Grant): Standing[] {
  if (!isRole(role)) return [];
  const limited = { role, grantId, rooms: rooms ?? undefined, caseId: caseId ?? undefined };
  // Only of what two people opened is the reason that of everything done with it.
  if (role === 'break_glass') return [{ ...limited, reason, isCaseFixed: false }];
  const isReviewer = scopeOf(role) === 'case';
  return [
    { ...limited, rooms: isReviewer ? (rooms ?? []) : limited.rooms, reason: undefined, isCaseFixed: isReviewer },
  ];
}
