import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { claimUserKeys } from './claim-user-keys.ts';
import { openIdUserinfo } from './openid-userinfo.ts';
import { getPublicRooms, postPublicRooms } from './public-rooms.ts';
import { queryDirectory } from './query-directory.ts';
import { queryProfile } from './query-profile.ts';
import { postQueryServerKeys } from './query-server-keys.ts';
import { getQueryServerKeys } from './query-server-keys-of.ts';
import { queryUserKeys } from './query-user-keys.ts';
import { getServerKeys } from './server-keys.ts';
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
  getPublicRooms,
  postPublicRooms,
  getUserDevices,
  queryUserKeys,
  claimUserKeys,
  openIdUserinfo,
];
