import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { destinationRooms, getDestination, listDestinations, resetDestination } from './destinations.ts';
import {
  deleteRegistrationToken,
  getRegistrationToken,
  listRegistrationTokens,
  newRegistrationToken,
  putRegistrationToken,
} from './registration-tokens.ts';
import { serverVersion } from './server-version.ts';
import { userMediaStatistics } from './user-media-statistics.ts';

/** The server itself, as administrators see and change it. */
export const adminServerEndpoints: readonly Endpoint<Context>[] = [
  serverVersion,
  listRegistrationTokens,
  getRegistrationToken,
  newRegistrationToken,
  putRegistrationToken,
  deleteRegistrationToken,
  listDestinations,
  getDestination,
  destinationRooms,
  resetDestination,
  userMediaStatistics,
];
