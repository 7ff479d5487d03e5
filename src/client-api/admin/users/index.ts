import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getAccount, putAccount } from './account.ts';
import { getAdministrator, putAdministrator } from './administrator.ts';
import { closeAccount } from './close-account.ts';
import { getExperimentalFeatures, putExperimentalFeatures } from './experimental-features.ts';
import { userOfAddress, userOfProvider } from './find-user.ts';
import { allowKeyReplacement } from './key-replacement.ts';
import { listUsers, listUsersWithClosed } from './list-users.ts';
import { logInAs } from './log-in-as.ts';
import { redactUser, redactUserStatus } from './redact-user.ts';
import { resetPassword } from './reset-password.ts';
import { liftShadowBan, shadowBan } from './shadow-ban.ts';
import { userAccountData } from './user-account-data.ts';
import { cumulativeJoinedRoomCount, sentInviteCount } from './user-counts.ts';
import {
  addUserDevice,
  deleteUserDevice,
  deleteUserDevices,
  getUserDevice,
  listUserDevices,
  putUserDevice,
} from './user-devices.ts';
import { userPushers } from './user-pushers.ts';
import { userJoinedRooms, userMemberships } from './user-rooms.ts';
import { usernameAvailable } from './username-available.ts';

/** Accounts, as administrators see and change them. */
export const adminUserEndpoints: readonly Endpoint<Context>[] = [
  listUsers,
  listUsersWithClosed,
  getAccount,
  putAccount,
  closeAccount,
  resetPassword,
  getAdministrator,
  putAdministrator,
  logInAs,
  userJoinedRooms,
  userMemberships,
  userAccountData,
  listUserDevices,
  addUserDevice,
  getUserDevice,
  putUserDevice,
  deleteUserDevice,
  deleteUserDevices,
  userPushers,
  usernameAvailable,
  sentInviteCount,
  cumulativeJoinedRoomCount,
  allowKeyReplacement,
  getExperimentalFeatures,
  putExperimentalFeatures,
  userOfAddress,
  userOfProvider,
  shadowBan,
  liftShadowBan,
  redactUser,
  redactUserStatus,
];
