import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { postQueryServerKeys } from './query-server-keys.ts';
import { getQueryServerKeys } from './query-server-keys-of.ts';
import { getServerKeys } from './server-keys.ts';
import { getVersion } from './version.ts';
import { wellKnownServer } from './well-known-server.ts';

/** Everything that other servers are answered. */
export const federationEndpoints: readonly Endpoint<Context>[] = [
  getServerKeys,
  postQueryServerKeys,
  getQueryServerKeys,
  getVersion,
  wellKnownServer,
];
