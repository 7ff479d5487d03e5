/** The guard of this server: roles decide who may, the audit log keeps what they did. */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, membershipOf } from '#projections/rooms/queries.ts';
import { type AuditAction, noteOf } from '#src/audit/actions.ts';
import { actorOf } from '#src/audit/actor.ts';
import { type Audit, type AuditTarget, MAX_REASON_LENGTH, MAX_TEXT_LENGTH } from '#src/audit/audit.ts';
import type { Repeats } from '#src/audit/repeats.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { forbidden, invalidParam, type MatrixError } from '#src/http/errors.ts';
import { failureOf } from '#src/http/failures.ts';
import type { Described, Entered, Entering, Guard } from '#src/http/guard.ts';
import type { Logger } from '#src/log/logger.ts';
import { type Capability, roleHas } from './capabilities.ts';
import type { Roles } from './roles.ts';
import type { Standing } from './standing.ts';

const REASON_HEADER = 'x-stele-reason';
const CASE_HEADER = 'x-stele-case';

export interface RoleGuardOptions {
  readonly roles: Roles;
  readonly audit: Audit;
  readonly repeats: Repeats;
  readonly reader: Reader;
  /** Whether who is not in a room has to say why, and under which case, before they are shown what was written there. */
  readonly asksForReasons: boolean;
  readonly logger: Logger;
}

/** Why somebody asks, and under which case. */
interface Grounds {
  readonly reason: string | undefined;
  readonly caseId: string | undefined;
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

  async enter({ endpoint, audit, request, json, described = {} }: Entering): Promise<Entered> {
    const { requester, ip, params, header } = request;
    const { target = targetOf(params), roomId = params['roomId'] } = described;
    const about = { ...described, target, roomId };
    const grounds = groundsOf(header, json);
    const { may } = endpoint;
    const standing =
      may === undefined || requester === undefined
        ? undefined
        : await this.#standingFor(requester, { ...about, may, ...grounds }, audit.isScopedInHandler === true, ip);
    const reason = grounds.reason ?? standing?.reason;
    const caseId = grounds.caseId ?? standing?.caseId ?? described.caseId;
    if (requester !== undefined) this.#checkGrounds(audit.action, requester, about, { reason, caseId });
    const { before, after } = described;
    const actor = actorOf(requester, standing);
    const entry = { actor, action: audit.action, target, roomId: roomId || undefined, reason, caseId, ip };
    const id = await this.#options.audit.record({ ...entry, before, after });
    return {
      requester: requester && standing ? { ...requester, standing: { ...standing, reason, caseId } } : requester,
      failed: (error) => this.#recordFailure(id, { ...entry, why: describeFailure(error) }),
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
    wanted: Described & Grounds & { readonly may: Capability },
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
        standings.some(({ caseId }) => caseId !== undefined)
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

  async #recordFailure(of: string, entry: Parameters<Audit['record']>[0]): Promise<void> {
    try {
      await this.#options.audit.record({ ...entry, outcome: 'failed', of });
    } catch (error) {
      // The entry that it was allowed stands; the client hears of the failure itself.
      this.#options.logger.warn({ err: error }, 'that an action failed could not be recorded');
    }
  }
}

/** Whether a standing reaches as far as a request. */
function reaches(standing: Standing, { roomId, caseId }: Described, isScopedInHandler: boolean): boolean {
  if (standing.caseId !== undefined && caseId !== undefined && caseId !== standing.caseId) return false;
  if (standing.rooms === undefined) return true;
  if (roomId !== undefined) return standing.rooms.includes(roomId);
  return isScopedInHandler || (standing.caseId !== undefined && caseId === standing.caseId);
}

function targetOf(params: Readonly<Record<string, string>>): AuditTarget | undefined {
  const { userId, eventId, roomId, roomIdOrAlias, mediaId, serverName } = params;
  if (userId) return { kind: 'user', id: userId };
  if (eventId) return { kind: 'event', id: eventId };
  if (mediaId) return { kind: 'media', id: serverName ? `mxc://${serverName}/${mediaId}` : mediaId };
  const room = roomId || roomIdOrAlias;
  return room ? { kind: 'room', id: room } : undefined;
}

/** The grounds that the request itself states: in headers, or in its body. */
function groundsOf(header: (name: string) => string | undefined, json: Entering['json']): Grounds {
  const reason = decodedHeader(header(REASON_HEADER)) ?? textOf(json?.['reason']);
  const caseId = decodedHeader(header(CASE_HEADER)) ?? textOf(json?.['case_id']);
  if (reason !== undefined && reason.length > MAX_REASON_LENGTH) throw invalidParam('The reason is too long.');
  if (caseId !== undefined && caseId.length > MAX_TEXT_LENGTH) throw invalidParam('The case id is too long.');
  return { reason, caseId };
}

/** Headers are bytes to Node; people write UTF-8. */
function decodedHeader(value: string | undefined): string | undefined {
  return value === undefined ? undefined : textOf(Buffer.from(value, 'latin1').toString('utf8'));
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
}

function describeFailure(error: unknown): string {
  const { answer } = failureOf(error);
  return `${answer.errcode}: ${answer.message}`;
}
