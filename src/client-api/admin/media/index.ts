import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deleteMedia } from './delete-media.ts';
import { deleteMediaBy } from './delete-media-by.ts';
import { mediaInfo } from './media-info.ts';
import { protectMedia, unprotectMedia } from './protect.ts';
import { purgeMediaCache } from './purge-media-cache.ts';
import { quarantineById, quarantineChanges, quarantineRoom, quarantineUser, unquarantineById } from './quarantine.ts';
import { roomMedia } from './room-media.ts';
import { deleteUserMedia, userMedia } from './user-media.ts';

/** Media, as administrators see, hide and remove them. */
export const adminMediaEndpoints: readonly Endpoint<Context>[] = [
  roomMedia,
  userMedia,
  deleteUserMedia,
  mediaInfo,
  quarantineById,
  unquarantineById,
  quarantineRoom,
  quarantineUser,
  quarantineChanges,
  protectMedia,
  unprotectMedia,
  deleteMedia,
  deleteMediaBy,
  purgeMediaCache,
];
