/**
 * Every projection, and so every table, by environment. Each projection declares its tables beside its `apply`; adding one
 * here is all that is needed for it to be built from the log at the next start.
 */

import { accountDataProjection } from './account-data/projection.ts';
import { accountsProjection } from './accounts/projection.ts';
import { auditProjection } from './audit/projection.ts';
import { backupsProjection } from './backups/projection.ts';
import { complianceProjection } from './compliance/projection.ts';
import { delayedEventsProjection } from './delayed-events/projection.ts';
import { directoryProjection } from './directory/projection.ts';
import { backupProjection } from './encryption/backup-projection.ts';
import { dehydratedProjection } from './encryption/dehydrated-projection.ts';
import { inboxProjection } from './encryption/inbox-projection.ts';
import { keysProjection } from './encryption/keys-projection.ts';
import { outboxProjection } from './encryption/outbox-projection.ts';
import { checkNames, type Projection } from './engine/projection.ts';
import { destinationsProjection } from './federation/destinations.ts';
import { federationKeysProjection } from './federation/keys.ts';
import { sentProjection } from './federation/sent.ts';
import { identityBindingsProjection } from './identity-bindings/projection.ts';
import { mediaProjection } from './media/projection.ts';
import { quarantineProjection } from './media/quarantine.ts';
import { notificationsProjection } from './notifications/projection.ts';
import { profilesProjection } from './profiles/projection.ts';
import { pushersProjection } from './pushers/projection.ts';
import { receiptsProjection } from './receipts/projection.ts';
import { relationsProjection } from './relations/projection.ts';
import { evidenceProjection } from './reports/evidence.ts';
import { reportsProjection } from './reports/projection.ts';
import { rolesProjection } from './roles/projection.ts';
import { roomsProjection } from './rooms/projection.ts';
import { threadSubscriptionsProjection } from './thread-subscriptions/projection.ts';

/** What requests read: one environment, one checkpoint, so that a reader sees one moment of the log in all of it. */
export const coreProjections: readonly Projection[] = [
  accountsProjection,
  roomsProjection,
  directoryProjection,
  reportsProjection,
  evidenceProjection,
  auditProjection,
  rolesProjection,
  accountDataProjection,
  receiptsProjection,
  relationsProjection,
  profilesProjection,
  notificationsProjection,
  mediaProjection,
  quarantineProjection,
  pushersProjection,
  identityBindingsProjection,
  threadSubscriptionsProjection,
  keysProjection,
  inboxProjection,
  outboxProjection,
  backupProjection,
  delayedEventsProjection,
  dehydratedProjection,
  destinationsProjection,
  sentProjection,
  federationKeysProjection,
  complianceProjection,
  backupsProjection,
];

checkNames(coreProjections);

// What may lag behind: an environment and a checkpoint of its own.
export { searchProjections } from './search/catalogue.ts';
