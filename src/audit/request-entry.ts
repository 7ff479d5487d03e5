/** The entry of a request: what guards have in common. */
import {
  type Audit,
  type AuditTarget,
  MAX_REASON_LENGTH,
  MAX_TEXT_LENGTH,
  type NewAuditEntry,
} from '#src/audit/audit.ts';
import { invalidParam } from '#src/http/errors.ts';
import { failureOf } from '#src/http/failures.ts';
import type { Entered, Entering } from '#src/http/guard.ts';
import type { Logger } from '#src/log/logger.ts';

const REASON_HEADER = 'x-stele-reason';
const CASE_HEADER = 'x-stele-case';

/** Why somebody asks, and under which case. */
export interface Grounds {
  readonly reason: string | undefined;
  readonly caseId: string | undefined;
}

/** The grounds that a request itself states: in headers, or in its body. @throws {MatrixError} for what is too long. */
export function groundsOf({ request: { header }, json }: Pick<Entering, 'request' | 'json'>): Grounds {
  const reason = decodedHeader(header(REASON_HEADER)) ?? textOf(json?.['reason']);
  const caseId = decodedHeader(header(CASE_HEADER)) ?? textOf(json?.['case_id']);
  if (reason !== undefined && reason.length > MAX_REASON_LENGTH) throw invalidParam('The reason is too long.');
  if (caseId !== undefined && caseId.length > MAX_TEXT_LENGTH) throw invalidParam('The case id is too long.');
  return { reason, caseId };
}

/** A header that people wrote: its bytes are UTF-8, which Node takes for Latin-1. Undefined for an empty one. */
export function decodedHeader(value: string | undefined): string | undefined {
  return value === undefined ? undefined : textOf(Buffer.from(value, 'latin1').toString('utf8'));
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
}

/** What the parameters of a path name: the user, else the event, the media, the room. */
export function targetOfPath(params: Readonly<Record<string, string>>): AuditTarget | undefined {
  const { userId, eventId, roomId, roomIdOrAlias, mediaId, serverName } = params;
  if (userId) return { kind: 'user', id: userId };
  if (eventId) return { kind: 'event', id: eventId };
  if (mediaId) return { kind: 'media', id: serverName ? `mxc://${serverName}/${mediaId}` : mediaId };
  const room = roomId || roomIdOrAlias;
  return room ? { kind: 'room', id: room } : undefined;
}

/** Puts the entry of a request on record; what it gives puts there that the request failed. */
export async function enterRecorded(
  { audit, logger }: { readonly audit: Audit; readonly logger: Logger },
  entry: NewAuditEntry,
): Promise<Entered['failed']> {
  const of = await audit.record(entry);
  return async (error) => {
    const { answer } = failureOf(error);
    const { before: _before, after: _after, ...facts } = entry;
    try {
      await audit.record({ ...facts, outcome: 'failed', of, why: `${answer.errcode}: ${answer.message}` });
    } catch (failure) {
      // The entry that it was allowed stands; whoever asked hears of the failure itself.
      logger.warn({ err: failure }, 'that an action failed could not be recorded');
    }
  };
}
