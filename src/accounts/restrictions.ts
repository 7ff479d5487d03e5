/**
 * Accounts that a server administrator restricted: locked ones can only log out, suspended ones read and leave.
 * https://spec.matrix.org/v1.19/client-server-api/#account-locking and the section after it.
 */
import type { Endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';

/**
 * What the owner of a suspended account may not do, by method and path as declared. It is all that others would see: coming
 * into rooms, bringing people into them, sending, changing names, and what goes to other people's devices and moderators.
 * Redacting is allowed, but only of one's own events, which the endpoint itself checks.
 */
const REFUSED_WHILE_SUSPENDED: ReadonlySet<string> = new Set([
  'POST /_matrix/client/v3/createRoom',
  'POST /_matrix/client/v3/join/{roomIdOrAlias}',
  'POST /_matrix/client/v3/knock/{roomIdOrAlias}',
  'POST /_matrix/client/v3/rooms/{roomId}/ban',
  'POST /_matrix/client/v3/rooms/{roomId}/invite',
  'POST /_matrix/client/v3/rooms/{roomId}/join',
  'POST /_matrix/client/v3/rooms/{roomId}/kick',
  'POST /_matrix/client/v3/rooms/{roomId}/unban',
  'POST /_matrix/client/v3/rooms/{roomId}/upgrade',
  'PUT /_matrix/client/v3/directory/list/room/{roomId}',
  'PUT /_matrix/client/v3/directory/room/{roomAlias}',
  'PUT /_matrix/client/v3/presence/{userId}/status',
  'PUT /_matrix/client/v3/profile/{userId}/{keyName}',
  'DELETE /_matrix/client/v3/profile/{userId}/{keyName}',
  'PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}',
  'POST /_matrix/client/v3/rooms/{roomId}/send/{eventType}',
  'PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}',
  'PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}',
  'POST /_matrix/media/v1/create',
  'POST /_matrix/media/v3/upload',
  'PUT /_matrix/media/v3/upload/{serverName}/{mediaId}',
]);

/** Whether the owner of a suspended account may call an endpoint. */
export function mayWhileSuspended({ method, path }: Pick<Endpoint<never>, 'method' | 'path'>): boolean {
  return !REFUSED_WHILE_SUSPENDED.has(`${method} ${path}`);
}

/** What a request of a locked account is told. The client keeps its data and its token, in case the lock is lifted. */
export function userLocked(): MatrixError {
  return new MatrixError('M_USER_LOCKED', undefined, { extra: { soft_logout: true } });
}

/** What a request of a suspended account is told that it may not make. */
export function userSuspended(): MatrixError {
  return new MatrixError('M_USER_SUSPENDED', 'Your account is suspended: you can read, and leave rooms.');
}
