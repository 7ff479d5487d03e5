import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { addRegistrationToken } from './add-registration-token.ts';
import { addUser } from './add-user.ts';
import { auditLog } from './audit-log.ts';
import { listSigningKeys } from './list-signing-keys.ts';
import { recordBackup } from './record-backup.ts';
import { recordExport } from './record-export.ts';
import { roleOperatorEndpoints } from './roles.ts';
import { rotateSigningKey } from './rotate-signing-key.ts';

/** Everything that the operator's socket answers. */
export const operatorEndpoints: readonly Endpoint<Context>[] = [
  addUser,
  auditLog,
  addRegistrationToken,
  rotateSigningKey,
  listSigningKeys,
  ...roleOperatorEndpoints,
  recordExport,
  recordBackup,
];
