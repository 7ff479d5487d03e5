import { z } from 'zod';
import { auditEntries } from '#projections/audit/projection.ts';
import { type AuditQuery, auditPage, lastAuditEntry } from '#projections/audit/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { auditEntryJson } from '#src/audit/entry-json.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** Most entries of one answer. */
const MAX_LIMIT = 1_000;
/** Positions that fit into a key. */
const MAX_POSITION = 2 ** 48 - 1;

/** What is asked of the audit log. */
const queryBody = z.object({
  actor: z.string().optional(),
  action: z.string().optional(),
  target: z.string().optional(),
  room: z.string().optional(),
  case: z.string().optional(),
  from_ms: z.number().optional(),
  to_ms: z.number().optional(),
});

const bodySchema = queryBody.extend({
  /** Only entries beyond this position. */
  after: z.int().min(0).max(MAX_POSITION).optional(),
  limit: z.int().min(1).max(MAX_LIMIT).default(MAX_LIMIT),
  /** Position of the entry of the question, as the first answer gave it. */
  asked: z.int().min(0).max(MAX_POSITION).optional(),
});

/** A page of the audit log, as the endpoint answers it. @throws {z.ZodError} for a body that asks nothing */
export function auditAnswer(reader: Reader, question: unknown): object {
  const body = bodySchema.parse(question);
  const query: AuditQuery = {
    actor: body.actor,
    action: body.action,
    target: body.target,
    room: body.room,
    caseId: body.case,
    fromMs: body.from_ms,
    toMs: body.to_ms,
  };
  const { entries, next } = auditPage(reader, query, { after: body.after, limit: body.limit });
  return { entries: entries.map(auditEntryJson), next: next ?? null };
}

/**
 * `POST /_stele/operator/audit` on the operator's socket: a page of the audit log, as `stele audit` asks. The question is on record
 * itself; the pages after the first, which name it with `asked`, are part of it.
 */
export const auditLog = endpoint({
  method: 'POST',
  path: '/_stele/operator/audit',
  auth: 'none',
  rateLimit: 'none',
  body: bodySchema,
  audit: {
    action: 'audit.read',
    describe: ({ body }, { reader }: Pick<Context, 'reader'>) => {
      const query = queryBody.parse(body);
      if (body.asked !== undefined && isQuestion(reader, body.asked, query)) return null;
      return { target: { kind: 'audit', id: 'log' }, after: query };
    },
  },
  handler: ({ body }, { reader }: Pick<Context, 'reader'>) => ({
    ...auditAnswer(reader, body),
    asked: body.asked ?? lastAuditEntry(reader, 'audit.read')?.position,
  }),
});

/** Whether there is an entry for this very question. */
function isQuestion(reader: Reader, position: number, query: object): boolean {
  const row = reader.get(auditEntries, [position]);
  return row?.facts.action === 'audit.read' && row.detailsJson === JSON.stringify({ after: query });
}
