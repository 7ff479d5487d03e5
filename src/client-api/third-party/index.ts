import type { Endpoint } from '#src/http/endpoint.ts';
import {
  thirdPartyLocationOfAlias,
  thirdPartyLocations,
  thirdPartyProtocol,
  thirdPartyUserOfId,
  thirdPartyUsers,
} from './lookups.ts';
import { thirdPartyProtocols } from './protocols.ts';

/** Bridged networks: there are none without application services. */
export const thirdPartyEndpoints: readonly Endpoint<unknown>[] = [
  thirdPartyProtocols,
  thirdPartyProtocol,
  thirdPartyLocations,
  thirdPartyUsers,
  thirdPartyLocationOfAlias,
  thirdPartyUserOfId,
];
