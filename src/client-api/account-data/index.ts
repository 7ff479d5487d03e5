import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deleteTag } from './delete-tag.ts';
import { getAccountData } from './get-account-data.ts';
import { getRoomAccountData } from './get-room-account-data.ts';
import { getTags } from './get-tags.ts';
import { putAccountData } from './put-account-data.ts';
import { putRoomAccountData } from './put-room-account-data.ts';
import { putTag } from './put-tag.ts';

/** What clients keep on the server for their user, and the tags of rooms. */
export const accountDataEndpoints: readonly Endpoint<Context>[] = [
  getAccountData,
  putAccountData,
  getRoomAccountData,
  putRoomAccountData,
  getTags,
  putTag,
  deleteTag,
];
