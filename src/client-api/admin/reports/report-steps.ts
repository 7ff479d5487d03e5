/** What moderators do with reports: `/_stele/admin/reports`. */
import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { type Endpoint, endpoint } from '#src/http/endpoint.ts';
import { standingOf } from '#src/http/guard.ts';
import { queryChoice, queryInteger } from '#src/http/query.ts';
import { stepReport } from '#src/reports/reports.ts';
import { reportJson, reportPage } from './report-json.ts';
import { describeReport, namedReport } from './report-lists.ts';

type StepContext = Pick<Context, 'reader' | 'commands' | 'newRecordId'>;

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

/** `GET /_stele/admin/reports`: reports of all kinds, the newest first, of one state where `state` names it. */
const listAllReports = endpoint({
  method: 'GET',
  path: '/_stele/admin/reports',
  auth: 'admin',
  may: 'reports.read',
  rateLimit: 'none',
  query: z.object({
    from: queryInteger().default(0),
    limit: queryInteger({ cap: MAX_LIMIT }).default(DEFAULT_LIMIT),
    state: queryChoice(['open', 'claimed', 'resolved', 'appealed']).optional(),
  }),
  audit: { action: 'report.list', isScopedInHandler: true, describe: ({ query }) => ({ after: query }) },
  handler: ({ query: { from, limit, state }, requester }, { reader }: Pick<Context, 'reader'>) =>
    reportPage(reader, { state }, standingOf(requester), { from, limit, isReversed: true }),
});

function stepEndpoint(step: 'claim' | 'resolve' | 'appeal' | 'reopen'): Endpoint<StepContext> {
  return endpoint({
    method: 'POST',
    path: `/_stele/admin/reports/{reportId}/${step}`,
    auth: 'admin',
    may: 'reports.write',
    rateLimit: 'none',
    body: z.object({
      /** What was found, decided or is objected to. */
      note: z.string().optional(),
    }),
    audit: {
      action: `report.${step}`,
      describe: ({ params, body }, context: Pick<Context, 'reader'>) => {
        const report = namedReport(context, params.reportId);
        return { ...describeReport(report), before: { state: report.state }, after: { note: body.note } };
      },
    },
    handler: async ({ params, body: { note }, requester }, context: StepContext) => {
      const { id } = namedReport(context, params.reportId);
      const report = await stepReport(context, id, step, { by: actorName(actorOf(requester)), note });
      return report === undefined ? {} : reportJson(context.reader, report);
    },
  });
}

/** `GET /_stele/admin/reports`, and `POST /_stele/admin/reports/{reportId}/{claim|resolve|appeal|reopen}`. */
export const reportStepEndpoints: readonly Endpoint<Context>[] = [
  listAllReports,
  ...(['claim', 'resolve', 'appeal', 'reopen'] as const).map(stepEndpoint),
];
