import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { complianceEndpoints } from './compliance-endpoints.ts';
import { getAudit } from './get-audit.ts';
import { getLock } from './get-lock.ts';
import { getSuspend } from './get-suspend.ts';
import { adminMediaEndpoints } from './media/index.ts';
import { putLock } from './put-lock.ts';
import { putSuspend, putSuspendOfSynapse } from './put-suspend.ts';
import { deleteRateLimitOverride, getRateLimitOverride, postRateLimitOverride } from './rate-limit-override.ts';
import { getEvidence, listEvidence } from './reports/evidence.ts';
import { reportListEndpoints } from './reports/report-lists.ts';
import { reportStepEndpoints } from './reports/report-steps.ts';
import {
  approveBreakGlass,
  grantRole,
  listBreakGlass,
  listRoles,
  requestBreakGlass,
  revokeRole,
} from './roles/grants.ts';
import { createToken, listTokens, revokeToken } from './roles/tokens.ts';
import { adminRoomEndpoints } from './rooms/index.ts';
import { postServerNotice, putServerNotice } from './send-server-notice.ts';
import { adminServerEndpoints } from './server/index.ts';
import { adminUserEndpoints } from './users/index.ts';
import { whois } from './whois.ts';

/** What server administrators can do here. */
export const adminEndpoints: readonly Endpoint<Context>[] = [
  whois,
  ...adminUserEndpoints,
  ...adminRoomEndpoints,
  ...adminServerEndpoints,
  getSuspend,
  putSuspend,
  putSuspendOfSynapse,
  getLock,
  putLock,
  getRateLimitOverride,
  postRateLimitOverride,
  deleteRateLimitOverride,
  ...adminMediaEndpoints,
  postServerNotice,
  putServerNotice,
  getAudit,
  listRoles,
  grantRole,
  revokeRole,
  listBreakGlass,
  requestBreakGlass,
  approveBreakGlass,
  listTokens,
  createToken,
  revokeToken,
  ...reportListEndpoints,
  ...reportStepEndpoints,
  listEvidence,
  getEvidence,
  ...complianceEndpoints,
];
