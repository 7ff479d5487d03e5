import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getErasure } from './erasures/get-erasure.ts';
import { listErasures } from './erasures/list-erasures.ts';
import { requestErasure } from './erasures/request-erasure.ts';
import { downloadExport } from './exports/download-export.ts';
import { getExport } from './exports/get-export.ts';
import { listExports } from './exports/list-exports.ts';
import { makeExport } from './exports/make-export.ts';
import { removeExport } from './exports/remove-export.ts';
import { addHold } from './holds/add-hold.ts';
import { listHolds } from './holds/list-holds.ts';
import { releaseHold } from './holds/release-hold.ts';
import { getRetentionPolicy } from './retention/get-retention-policy.ts';
import { getRetentionTask } from './retention/get-retention-task.ts';
import { planRetention } from './retention/plan-retention.ts';
import { runRetention } from './retention/run-retention.ts';
import { searchContent } from './search-content.ts';

/** What compliance officers, reviewers, auditors and data-protection officers do here. */
export const complianceEndpoints: readonly Endpoint<Context>[] = [
  listHolds,
  addHold,
  releaseHold,
  listErasures,
  requestErasure,
  getErasure,
  getRetentionPolicy,
  planRetention,
  runRetention,
  getRetentionTask,
  listExports,
  makeExport,
  getExport,
  downloadExport,
  removeExport,
  searchContent,
];
