import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { backfill } from './backfill.ts';
import { claimUserKeys } from './claim-user-keys.ts';
import { getEvent } from './event.ts';
import { getEventAuth } from './event-auth.ts';
import { exchangeThirdPartyInvite } from './exchange-third-party-invite.ts';
import { getMissingEvents } from './get-missing-events.ts';
import { getHierarchy } from './hierarchy.ts';
import { invite, inviteOlder } from './invite.ts';
import { makeJoin } from './make-join.ts';
import { makeKnock } from './make-knock.ts';
import { makeLeave } from './make-leave.ts';
import { mediaDownload } from './media-download.ts';
import { mediaThumbnail } from './media-thumbnail.ts';
import { onBind, postOnBind } from './on-bind.ts';
import { openIdUserinfo } from './openid-userinfo.ts';
import { policySign } from './policy-sign.ts';
import { getPublicRooms, postPublicRooms } from './public-rooms.ts';
import { query } from './query.ts';
import { queryDirectory } from './query-directory.ts';
import { queryProfile } from './query-profile.ts';
import { postQueryServerKeys } from './query-server-keys.ts';
import { getQueryServerKeys } from './query-server-keys-of.ts';
import { queryUserKeys } from './query-user-keys.ts';
import { sendJoin, sendJoinOlder } from './send-join.ts';
import { sendKnock } from './send-knock.ts';
import { sendLeave, sendLeaveOlder } from './send-leave.ts';
import { sendTransaction } from './send-transaction.ts';
import { getServerKeys } from './server-keys.ts';
import { getState } from './state.ts';
import { getStateIds } from './state-ids.ts';
import { timestampToEvent } from './timestamp-to-event.ts';
import { getUserDevices } from './user-devices.ts';
import { getVersion } from './version.ts';
import { wellKnownServer } from './well-known-server.ts';

/** Everything that other servers are answered. */
export const federationEndpoints: readonly Endpoint<Context>[] = [
  getServerKeys,
  postQueryServerKeys,
  getQueryServerKeys,
  getVersion,
  wellKnownServer,
  queryDirectory,
  queryProfile,
  query,
  getHierarchy,
  getPublicRooms,
  postPublicRooms,
  getUserDevices,
  queryUserKeys,
  claimUserKeys,
  openIdUserinfo,
  sendTransaction,
  makeJoin,
  sendJoin,
  sendJoinOlder,
  makeLeave,
  sendLeave,
  sendLeaveOlder,
  makeKnock,
  sendKnock,
  invite,
  inviteOlder,
  getEvent,
  getState,
  getStateIds,
  getEventAuth,
  backfill,
  getMissingEvents,
  exchangeThirdPartyInvite,
  onBind,
  postOnBind,
  timestampToEvent,
  mediaDownload,
  mediaThumbnail,
];

/** What other servers are answered beside that where this one is a policy server. */
export const policyServerEndpoints: readonly Endpoint<Context>[] = [policySign];
