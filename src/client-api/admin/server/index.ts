import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getUpdatesEnabled, postUpdatesEnabled, startUpdateJob, updatesStatus } from './background-updates.ts';
import { destinationRooms, getDestination, listDestinations, resetDestination } from './destinations.ts';
import { largestRooms } from './largest-rooms.ts';
import {
  deleteRegistrationToken,
  getRegistrationToken,
  listRegistrationTokens,
  newRegistrationToken,
  putRegistrationToken,
} from './registration-tokens.ts';
import { scheduledTasks } from './scheduled-tasks.ts';
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
  largestRooms,
  getUpdatesEnabled,
  postUpdatesEnabled,
  updatesStatus,
  startUpdateJob,
  scheduledTasks,
];
