import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { addRegistrationToken } from './add-registration-token.ts';
import { addUser } from './add-user.ts';
import { auditLog } from './audit-log.ts';
import { getErasure, requestErasure } from './erasures.ts';
import { addHold, listHolds, releaseHold } from './holds.ts';
import { listSigningKeys } from './list-signing-keys.ts';
import { recordBackup } from './record-backup.ts';
import { recordExport } from './record-export.ts';
import { recordRead } from './record-read.ts';
import { planRetention, retentionPolicy, retentionProgress, runRetention } from './retention.ts';
import { roleOperatorEndpoints } from './roles.ts';
import { rotateSigningKey } from './rotate-signing-key.ts';

/** Everything that the operator's socket answers. */
export const operatorEndpoints: readonly Endpoint<Context>[] = [
  addUser,
  auditLog,
  recordRead,
  addRegistrationToken,
  rotateSigningKey,
  listSigningKeys,
  ...roleOperatorEndpoints,
  recordExport,
  recordBackup,
  addHold,
  listHolds,
  releaseHold,
  requestErasure,
  getErasure,
  planRetention,
  retentionPolicy,
  retentionProgress,
  runRetention,
];
