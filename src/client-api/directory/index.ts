import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deleteAlias } from './delete-alias.ts';
import { getAlias } from './get-alias.ts';
import { getVisibility } from './get-visibility.ts';
import { getPublicRooms, postPublicRooms } from './public-rooms.ts';
import { putAlias } from './put-alias.ts';
import { putVisibility } from './put-visibility.ts';
import { roomAliases } from './room-aliases.ts';

/** Aliases and the list of public rooms. */
export const directoryEndpoints: readonly Endpoint<Context>[] = [
  getAlias,
  putAlias,
  deleteAlias,
  roomAliases,
  getVisibility,
  putVisibility,
  getPublicRooms,
  postPublicRooms,
];
