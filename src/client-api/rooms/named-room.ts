import { z } from 'zod';
import { isRoomAlias, serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { remoteAlias } from '#src/federation/remote-queries.ts';
import { queryTexts } from '#src/http/query.ts';

/** Servers that may be in the room, as clients name them; `server_name` is what older ones call it. */
export const viaQuery = z.object({ via: queryTexts().default([]), server_name: queryTexts().default([]) });

/** A room, and the servers through which it may be reached. */
export interface NamedRoom {
  readonly roomId: string;
  readonly via: readonly string[];
}

/**
 * The room that a client names by its id or an alias, which another server may have.
 *
 * @throws {MatrixError} M_INVALID_PARAM, M_NOT_FOUND. @throws {FederationError}
 */
export async function namedRoom(
  { directory, federation, serverName }: Pick<Context, 'directory' | 'federation' | 'serverName'>,
  roomIdOrAlias: string,
  query: z.output<typeof viaQuery>,
): Promise<NamedRoom> {
  const via = [...query.via, ...query.server_name];
  if (!isRoomAlias(roomIdOrAlias) || serverNameOf(roomIdOrAlias) === serverName) {
    return { roomId: directory.roomOf(roomIdOrAlias), via };
  }
  const { roomId, servers } = await remoteAlias(federation.client, roomIdOrAlias);
  return { roomId, via: [...via, ...servers] };
}
