/** Everything that a server answers over HTTP, by the lists of each folder. */
import { accountDataEndpoints } from './client-api/account-data/index.ts';
import { accountEndpoints } from './client-api/accounts/index.ts';
import { adminEndpoints } from './client-api/admin/index.ts';
import { dehydratedDeviceEndpoints } from './client-api/dehydrated-devices/index.ts';
import { delayedEventEndpoints } from './client-api/delayed-events/index.ts';
import { directoryEndpoints } from './client-api/directory/index.ts';
import { encryptionEndpoints } from './client-api/encryption/index.ts';
import { eventStreamEndpoints } from './client-api/event-stream/index.ts';
import { filterEndpoints } from './client-api/filters/index.ts';
import { initialSyncEndpoints } from './client-api/initial-sync/index.ts';
import { mediaEndpoints } from './client-api/media/index.ts';
import { messageEndpoints } from './client-api/messages/index.ts';
import { notificationEndpoints } from './client-api/notifications/index.ts';
import { openIdEndpoints } from './client-api/openid/index.ts';
import { presenceEndpoints } from './client-api/presence/index.ts';
import { profileEndpoints } from './client-api/profile/index.ts';
import { pushRuleEndpoints } from './client-api/push-rules/index.ts';
import { pusherEndpoints } from './client-api/pushers/index.ts';
import { receiptEndpoints } from './client-api/receipts/index.ts';
import { reportEndpoints } from './client-api/reports/index.ts';
import { roomEndpoints } from './client-api/rooms/index.ts';
import { serverInfoEndpoints } from './client-api/server-info/index.ts';
import { slidingSyncEndpoints } from './client-api/sliding-sync/index.ts';
import { spaceEndpoints } from './client-api/spaces/index.ts';
import { syncEndpoints } from './client-api/sync/index.ts';
import { thirdPartyEndpoints } from './client-api/third-party/index.ts';
import { thirdPartyIdEndpoints } from './client-api/third-party-ids/index.ts';
import { threadSubscriptionEndpoints } from './client-api/thread-subscriptions/index.ts';
import { typingEndpoints } from './client-api/typing/index.ts';
import { voipEndpoints } from './client-api/voip/index.ts';
import type { Config } from './config/schema.ts';
import type { Context } from './context.ts';
import { federationEndpoints, policyServerEndpoints } from './federation-api/index.ts';
import type { Endpoint } from './http/endpoint.ts';

/** Everything that the client API of this version answers. */
export const endpoints: readonly Endpoint<Context>[] = [
  ...accountEndpoints,
  ...roomEndpoints,
  ...directoryEndpoints,
  ...spaceEndpoints,
  ...reportEndpoints,
  ...messageEndpoints,
  ...syncEndpoints,
  ...slidingSyncEndpoints,
  ...accountDataEndpoints,
  ...filterEndpoints,
  ...profileEndpoints,
  ...pushRuleEndpoints,
  ...pusherEndpoints,
  ...threadSubscriptionEndpoints,
  ...notificationEndpoints,
  ...receiptEndpoints,
  ...typingEndpoints,
  ...presenceEndpoints,
  ...delayedEventEndpoints,
  ...dehydratedDeviceEndpoints,
  ...eventStreamEndpoints,
  ...initialSyncEndpoints,
  ...adminEndpoints,
  ...openIdEndpoints,
  ...voipEndpoints,
  ...thirdPartyEndpoints,
  ...thirdPartyIdEndpoints,
  ...serverInfoEndpoints,
  ...mediaEndpoints,
  ...encryptionEndpoints,
];

/** Everything that is answered with a configuration: the client API, and the federation API and that of policy servers where they are on. */
export function endpointsFor(config: Config): readonly Endpoint<Context>[] {
  if (!config.federation.enabled) return endpoints;
  return [...endpoints, ...federationEndpoints, ...(config.policy_server.enabled ? policyServerEndpoints : [])];
}
