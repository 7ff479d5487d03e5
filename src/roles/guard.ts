/** The guard of this server: roles decide who may, the audit log keeps what they did. */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, membershipOf } from '#projections/rooms/queries.ts';
import { type AuditAction, noteOf } from '#src/audit/actions.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Audit } from '#src/audit/audit.ts';
import type { Repeats } from '#src/audit/repeats.ts';
import { enterRecorded, type Grounds, groundsOf, targetOfPath } from '#src/audit/request-entry.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { forbidden, type MatrixError } from '#src/http/errors.ts';
import type { Described, Entered, Entering, Guard } from '#src/http/guard.ts';
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
  readonly logger: Logger;
}

/** What a request is about, and the case that it states. */
interface Wanted extends Pick<Described, 'roomId' | 'caseId'> {
  readonly statedCase?: string | undefined;
}

export class RoleGuard implements Guard {
  readonly #options: RoleGuardOptions;

  constructor(options: RoleGuardOptions) {
    this.#options = options;
  }

  admit(requester: Requester, may: Capability, ip: string): Promise<void> | undefined {
    if (this.#standingsWith(requester, may).length > 0) return undefined;
    const refusal = forbidden(
      requester.isAdmin || requester.standing !== undefined
        ? `That needs the capability ${may}, which your role does not have.`
        : `Only server administrators and those with a role for it (${may}) may do that.`,
    );
    return this.#refuse(requester, { may }, ip, refusal);
  }

  async enter(entering: Entering): Promise<Entered> {
    const { endpoint, audit, request, described = {} } = entering;
    const { requester, ip, params } = request;
    const { target = targetOfPath(params), roomId = params['roomId'] || undefined } = described;
    const about = { ...described, roomId };
    const grounds = groundsOf(entering);
    const { may } = endpoint;
    const standing =
      may === undefined || requester === undefined
        ? undefined
        : await this.#standingFor(
            requester,
            { ...about, may, statedCase: grounds.caseId },
            audit.isScopedInHandler === true,
            ip,
          );
    const reason = grounds.reason ?? standing?.reason ?? described.reason;
    const caseId = grounds.caseId ?? standing?.caseId ?? described.caseId;
    if (requester !== undefined) this.#checkGrounds(audit.action, requester, about, { reason, caseId });
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

  /** @throws {MatrixError} `M_FORBIDDEN` where content is asked for without saying why. */
  #checkGrounds(action: AuditAction, requester: Requester, { roomId }: Described, grounds: Grounds): void {
    if (noteOf(action).readsContent !== true || !this.#options.asksForReasons) return;
    if (grounds.reason !== undefined && grounds.caseId !== undefined) return;
    if (roomId !== undefined && this.#isMember(roomId, requester.userId)) return;
    throw forbidden(
      'Reading what people wrote in rooms that you are not in needs a reason and a case id. Send them in the headers ' +
        'X-Stele-Reason and X-Stele-Case or as "reason" and "case_id" in the body, or use a scoped token that carries them.',
    );
  }

  #isMember(roomId: string, userId: string): boolean {
    const { reader } = this.#options;
    const room = findRoom(reader, roomId);
    return room !== undefined && membershipOf(reader, room.id, userId) === 'join';
  }

  #standingsWith(requester: Requester, may: Capability): Standing[] {
    return this.#options.roles.standings(requester).filter(({ role }) => roleHas(role, may));
  }

  async #standingFor(
    requester: Requester,
    wanted: Wanted & { readonly may: Capability },
    isScopedInHandler: boolean,
    ip: string,
  ): Promise<Standing> {
    const standings = this.#standingsWith(requester, wanted.may);
    const fitting = standings.find((standing) => reaches(standing, wanted, isScopedInHandler));
    if (fitting !== undefined) return fitting;
    return this.#refuse(
      requester,
      wanted,
      ip,
      forbidden(
        standings.some(({ isCaseFixed }) => isCaseFixed)
          ? 'Your role is limited to a case, or to rooms, that this does not belong to.'
          : 'Your role is limited to rooms that this does not belong to.',
      ),
    );
  }

  async #refuse(
    requester: Requester,
    { may, roomId }: { readonly may: Capability; readonly roomId?: string | undefined },
    ip: string,
    refusal: MatrixError,
  ): Promise<never> {
    const { userId } = requester;
    const actor = actorOf(requester, requester.standing);
    const why = `${may}: ${refusal.message}`;
    await this.#options.repeats.note({ actor, action: 'access.refuse', outcome: 'refused', roomId, ip, why }, userId);
    throw refusal;
  }
}

/** Whether a standing reaches as far as a request. */
function reaches(standing: Standing, { roomId, caseId, statedCase }: Wanted, isScopedInHandler: boolean): boolean {
  const { rooms, isCaseFixed } = standing;
  const isOfCase = (one: string | undefined): boolean => one === undefined || one === standing.caseId;
  if (isCaseFixed && !(isOfCase(caseId) && isOfCase(statedCase))) return false;
  if (rooms === undefined) return true;
  if (roomId !== undefined) return rooms.includes(roomId);
  return isScopedInHandler || (isCaseFixed && caseId !== undefined);
}
