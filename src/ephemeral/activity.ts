import type { Endpoint } from '#src/http/endpoint.ts';

/**
 * What people do themselves, by path as declared; everything else a client may do on its own, while its user is away.
 * https://spec.matrix.org/v1.19/client-server-api/#last-active-ago
 */
const PERSONAL_PATHS: ReadonlySet<string> = new Set([
  '/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}',
  '/_matrix/client/v3/rooms/{roomId}/send/{eventType}',
  '/_matrix/client/v3/rooms/{roomId}/redact/{eventId}',
  '/_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}',
  '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}',
  '/_matrix/client/v3/rooms/{roomId}/typing/{userId}',
  '/_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}',
  '/_matrix/client/v3/rooms/{roomId}/read_markers',
]);

/** Whether a request shows that its user is there. Reading state shows nothing. */
export function isPersonal({ method, path }: Pick<Endpoint<never>, 'method' | 'path'>): boolean {
  return method !== 'GET' && PERSONAL_PATHS.has(path);
}
