/** The guard of this server: roles decide who may, the audit log keeps what they did. */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, membershipOf } from '#projections/rooms/queries.ts';
import { type AuditAction, noteOf } from '#src/audit/actions.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Audit, AuditTarget } from '#src/audit/audit.ts';
import type { Repeats } from '#src/audit/repeats.ts';
import { enterRecorded, type Grounds, groundsOf, targetOfPath } from '#src/audit/request-entry.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { forbidden, type MatrixError } from '#src/http/errors.ts';
import type { Asked, Described, Entered, Entering, Guard, LentWatch } from '#src/http/guard.ts';
import type { Logger } from '#src/log/logger.ts';
import { type Capability, roleHas } from './capabilities.ts';
import type { Roles } from './roles.ts';
import type { Standing } from './standing.ts';

export interface RoleGuardOptions {
  readonly roles: Roles;
  readonly audit: Audit;
  readonly repeats: Repeats;
  readonly reader: Reader;
  /** Whether who is not in a room has to say why, and under which case, before they are shown what was written there. */
  readonly asksForReasons: boolean;
  /** Keeps what is done with tokens that were lent. */
  readonly lent?: LentWatch | undefined;
  readonly logger: Logger;
}

/** What a request is about, and the case that it states. */
interface Wanted extends Pick<Described, 'roomId' | 'caseId' | 'isOfCase'> {
  readonly statedCase?: string | undefined;
}

/** A request that is refused. */
interface Refused extends Pick<Described, 'roomId' | 'caseId'> {
  readonly asked: Pick<Asked, 'method' | 'path'>;
  readonly target?: AuditTarget | undefined;
  readonly reason?: string | undefined;
  readonly ip: string;
  /** What was missing, in front of the sentence that the requester gets. */
  readonly missing: string;
}

export class RoleGuard implements Guard {
  readonly lent: LentWatch | undefined;
  readonly #options: RoleGuardOptions;

  constructor(options: RoleGuardOptions) {
    this.#options = options;
    this.lent = options.lent;
  }

  admit(requester: Requester, { method, path, may }: Asked, ip: string): Promise<void> | undefined {
    if (this.#standingsWith(requester, may).length > 0) return undefined;
    const refusal = forbidden(
      requester.isAdmin || requester.standing !== undefined
        ? `That needs the capability ${may}, which your role does not have.`
        : `Only server administrators and those with a role for it (${may}) may do that.`,
    );
    return this.#refuse(requester, { asked: { method, path }, ip, missing: may }, refusal);
  }

  async enter(entering: Entering): Promise<Entered> {
    const { endpoint, audit, request, described = {} } = entering;
    const { requester, ip, params } = request;
    const { target = targetOfPath(params), roomId = params['roomId'] || undefined } = described;
    const about = { ...described, roomId };
    const grounds = groundsOf(entering);
    const refused = { asked: endpoint, target, roomId, ip, ...grounds };
    const { may } = endpoint;
    const standing =
      may === undefined || requester === undefined
        ? undefined
        : (this.#standingFor(requester, may, { ...about, statedCase: grounds.caseId }, audit.isScopedInHandler) ??
          (await this.#refuse(requester, { ...refused, missing: may }, this.#outOfReach(requester, may))));
    const reason = grounds.reason ?? standing?.reason ?? described.reason;
    const caseId = grounds.caseId ?? standing?.caseId ?? described.caseId;
    if (requester !== undefined && !this.#hasGrounds(audit.action, requester, about, { reason, caseId })) {
      await this.#refuse(requester, { ...refused, reason, caseId, missing: 'a reason and a case' }, needsGrounds());
    }
    const { before, after } = described;
    const failed = await enterRecorded(this.#options, {
      actor: actorOf(requester, standing),
      action: audit.action,
      target,
      roomId,
      reason,
      caseId,
      ip,
      before,
      after,
    });
    return {
      requester: requester && standing ? { ...requester, standing: { ...standing, reason, caseId } } : requester,
      failed,
    };
  }

  /** Whether it is said why content is to be shown, where that has to be said. */
  #hasGrounds(action: AuditAction, { userId }: Requester, { roomId }: Described, grounds: Grounds): boolean {
    if (noteOf(action).readsContent !== true || !this.#options.asksForReasons) return true;
    if (grounds.reason !== undefined && grounds.caseId !== undefined) return true;
    return roomId !== undefined && this.#isMember(roomId, userId);
  }

  #isMember(roomId: string, userId: string): boolean {
    const { reader } = this.#options;
    const room = findRoom(reader, roomId);
    return room !== undefined && membershipOf(reader, room.id, userId) === 'join';
  }

  #standingsWith(requester: Requester, may: Capability): Standing[] {
    return this.#options.roles.standings(requester).filter(({ role }) => roleHas(role, may));
  }

  /** The role of somebody that reaches what they ask for, if one does. */
  #standingFor(requester: Requester, may: Capability, wanted: Wanted, isScopedInHandler = false): Standing | undefined {
    return this.#standingsWith(requester, may).find((standing) => reaches(standing, wanted, isScopedInHandler));
  }

  #outOfReach(requester: Requester, may: Capability): MatrixError {
    return forbidden(
      this.#standingsWith(requester, may).some(({ isCaseFixed }) => isCaseFixed)
        ? 'Your role is limited to a case, or to rooms, that this does not belong to.'
        : 'Your role is limited to rooms that this does not belong to.',
    );
  }

  /** Puts a refusal on record: at once, or as a count where somebody asks for the same again and again. */
  async #refuse(
    requester: Requester,
    { asked: { method, path }, target, roomId, reason, caseId, ip, missing }: Refused,
    refusal: MatrixError,
  ): Promise<never> {
    const { userId } = requester;
    const operation = `${method} ${path}`;
    const entry = {
      actor: actorOf(requester, requester.standing),
      action: 'access.refuse',
      outcome: 'refused',
      target,
      roomId,
      reason,
      caseId,
      ip,
      why: `${missing}: ${refusal.message}`,
      after: { operation },
    } as const;
    await this.#options.repeats.note(entry, [userId, operation, target?.id ?? '', missing].join('\n'));
    throw refusal;
  }
}

function needsGrounds(): MatrixError {
  return forbidden(
    'Reading what people wrote in rooms that you are not in needs a reason and a case id. Send them in the headers ' +
      'X-Stele-Reason and X-Stele-Case or as "reason" and "case_id" in the body, or use a scoped token that carries them.',
  );
}

/** Whether a standing reaches as far as a request. */
function reaches(
  standing: Standing,
  { roomId, caseId, statedCase, isOfCase }: Wanted,
  isScopedInHandler: boolean,
): boolean {
  const { rooms, isCaseFixed } = standing;
  const isSame = (one: string | undefined): boolean => one === undefined || one === standing.caseId;
  if (isCaseFixed && !(isSame(caseId) && isSame(statedCase))) return false;
  if (rooms === undefined) return true;
  if (isCaseFixed && standing.caseId !== undefined && isOfCase?.(standing.caseId) === true) return true;
  if (roomId !== undefined) return rooms.includes(roomId);
  return isScopedInHandler || (isCaseFixed && caseId !== undefined);
}
