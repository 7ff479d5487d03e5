import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deleteBackupKey } from './delete-key.ts';
import { deleteBackupKeys } from './delete-keys.ts';
import { deleteBackupRoomKeys } from './delete-room-keys.ts';
import { deleteBackupVersion } from './delete-version.ts';
import { getCurrentBackupVersion } from './get-current-version.ts';
import { getBackupKey } from './get-key.ts';
import { getBackupKeys } from './get-keys.ts';
import { getBackupRoomKeys } from './get-room-keys.ts';
import { getBackupVersion } from './get-version.ts';
import { postBackupVersion } from './post-version.ts';
import { putBackupKey } from './put-key.ts';
import { putBackupKeys } from './put-keys.ts';
import { putBackupRoomKeys } from './put-room-keys.ts';
import { putBackupVersion } from './put-version.ts';

/** Backups of room keys. */
export const keyBackupEndpoints: readonly Endpoint<Context>[] = [
  postBackupVersion,
  getCurrentBackupVersion,
  getBackupVersion,
  putBackupVersion,
  deleteBackupVersion,
  putBackupKeys,
  putBackupRoomKeys,
  putBackupKey,
  getBackupKeys,
  getBackupRoomKeys,
  getBackupKey,
  deleteBackupKeys,
  deleteBackupRoomKeys,
  deleteBackupKey,
];
