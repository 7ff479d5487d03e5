/**
 * Reports of events, rooms and users at Synapse's paths, in Synapse's shapes.
 * https://element-hq.github.io/synapse/latest/admin_api/event_reports.html
 */
import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { evidenceItems } from '#projections/reports/evidence.ts';
import type { Report } from '#projections/reports/projection.ts';
import { JsonTooDeepError, parseJson } from '#protocol/json-limits.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { type Endpoint, endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { type Described, standingOf } from '#src/http/guard.ts';
import { queryChoice, queryInteger } from '#src/http/query.ts';
import { reportById, roomOfReport, stepReport } from '#src/reports/reports.ts';
import { reportJson, reportPage } from './report-json.ts';

type Kind = Report['target']['kind'];
type ReadContext = Pick<Context, 'reader'>;

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

/** The report that a path names. @throws {MatrixError} `M_INVALID_PARAM`, `M_NOT_FOUND` */
export function namedReport({ reader }: ReadContext, text: string, kind?: Kind): Report {
  if (!/^\d{1,15}$/.test(text)) throw invalidParam('The id of a report is a number.');
  const report = reportById(reader, Number(text));
  if (kind !== undefined && report.target.kind !== kind) throw notFound('There is no such report.');
  return report;
}

/** What is on record of a request about one report. That somebody reported it is the reason to look at it, and its case. */
export function describeReport(report: Report): Described {
  return {
    target: { kind: 'report', id: String(report.id) },
    roomId: roomOfReport(report),
    caseId: `report ${report.id}`,
    reason: `report ${report.id}`,
  };
}

/** List, details and removal of the reports of one kind. */
function endpointsOf(kind: Kind): readonly Endpoint<Context>[] {
  const path = `/_synapse/admin/v1/${kind}_reports` as const;
  const list = endpoint({
    method: 'GET',
    path,
    auth: 'admin',
    may: 'reports.read',
    rateLimit: 'none',
    query: z.object({
      from: queryInteger().default(0),
      limit: queryInteger({ cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
      dir: queryChoice(['b', 'f']).default('b'),
      user_id: z.string().optional(),
      room_id: z.string().optional(),
      event_sender_user_id: z.string().optional(),
      target_user_id: z.string().optional(),
    }),
    audit: { action: 'report.list', isScopedInHandler: true, describe: ({ query }) => ({ after: { kind, ...query } }) },
    handler: async ({ query, requester }, { reader }: ReadContext) => {
      const { from, limit, dir, user_id: reporter, room_id: roomId } = query;
      const filter = { kind, reporter, roomId, subject: query.event_sender_user_id ?? query.target_user_id };
      const { reports, ...rest } = await reportPage(reader, filter, standingOf(requester), {
        from,
        limit,
        isReversed: dir === 'b',
      });
      return { [`${kind}_reports`]: reports, ...rest };
    },
  });
  const get = endpoint({
    method: 'GET',
    path: `${path}/{reportId}`,
    auth: 'admin',
    may: 'reports.read',
    rateLimit: 'none',
    audit: {
      action: kind === 'event' ? 'content.read' : 'report.read',
      describe: ({ params }, context: ReadContext) => describeReport(namedReport(context, params.reportId, kind)),
    },
    handler: async ({ params }, context: Pick<Context, 'reader' | 'evidence'>) => {
      const report = namedReport(context, params.reportId, kind);
      const json = reportJson(context.reader, report);
      return report.target.kind === 'event' ? { ...json, event_json: await reportedEvent(context, report) } : json;
    },
  });
  const remove = endpoint({
    method: 'DELETE',
    path: `${path}/{reportId}`,
    auth: 'admin',
    may: 'reports.write',
    rateLimit: 'none',
    audit: {
      action: 'report.delete',
      describe: ({ params }, context: ReadContext) => {
        const report = namedReport(context, params.reportId, kind);
        return { ...describeReport(report), before: { state: report.state } };
      },
    },
    handler: async ({ params, requester }, context: Pick<Context, 'reader' | 'commands' | 'newRecordId'>) => {
      const { id } = namedReport(context, params.reportId, kind);
      await stepReport(context, id, 'remove', { by: actorName(actorOf(requester)), note: undefined });
      return {};
    },
  });
  return [list, get, remove];
}

/** The event as it was captured when it was reported; null where that was destroyed. */
async function reportedEvent(
  { reader, evidence }: Pick<Context, 'reader' | 'evidence'>,
  { target }: Report,
): Promise<object | null> {
  if (target.kind !== 'event') return null;
  for (const { id, eventId } of evidenceItems(reader, target.eventId)) {
    const text = eventId === target.eventId ? await evidence.read(id) : undefined;
    if (text === undefined) continue;
    const event = eventIn(text);
    if (event !== undefined) return { ...event.pdu, event_id: event.event_id, room_id: event.room_id };
  }
  return null;
}

/** Undefined for an event so deep that there is no room for what goes around it; its evidence shows it as it is. */
function eventIn(evidence: string): { event_id: string; room_id: string; pdu: object } | undefined {
  try {
    return (parseJson(evidence) as { event?: { event_id: string; room_id: string; pdu: object } }).event;
  } catch (error) {
    if (error instanceof JsonTooDeepError) return undefined;
    throw error;
  }
}

/** All of them. */
export const reportListEndpoints: readonly Endpoint<Context>[] = (['event', 'room', 'user'] as const).flatMap(
  endpointsOf,
);
