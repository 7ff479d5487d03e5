/**
 * Accounts whose owners are not to notice that nobody hears them: what they send, and whom they invite, is answered as if it were done, and
 * nothing comes of it. They can read, join and leave as before. What is answered so is what Synapse answers so, and what a moderator does.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#controlling-whether-a-user-is-shadow-banned
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { Endpoint, EndpointRequest } from '#src/http/endpoint.ts';

/** A request as far as its pretended answer depends on it. */
export type ShadowedRequest = Pick<EndpointRequest<Readonly<Record<string, string>>>, 'params' | 'query' | 'body'> & {
  readonly requester: { readonly userId: string; readonly tokenId: string };
};

type Pretence = (request: ShadowedRequest) => object | undefined;

const SECRET_BYTES = 32;
/** Lives as long as the process: a transaction that is repeated gets the same answer, and nobody can work it out. */
const secret = randomBytes(SECRET_BYTES);
const DELAY = 'org.matrix.msc4140.delay';

const nothing: Pretence = () => ({});

const sent: Pretence = (request) => {
  const name = nameFor(request);
  return request.query[DELAY] === undefined ? { event_id: `$${name}` } : { delay_id: name };
};

/** Coming into a room and leaving it is not pretended, however it is asked for. */
const stateSent: Pretence = (request) => {
  const { params, body, requester } = request;
  const isOwnMembership = params['eventType'] === 'm.room.member' && params['stateKey'] === requester.userId;
  const { membership } = (typeof body === 'object' && body !== null ? body : {}) as { membership?: unknown };
  return isOwnMembership && (membership === 'join' || membership === 'leave') ? undefined : sent(request);
};

/** What is pretended, by method and path as declared. */
const PRETENDED: ReadonlyMap<string, Pretence> = new Map<string, Pretence>([
  ['PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}', sent],
  ['POST /_matrix/client/v3/rooms/{roomId}/send/{eventType}', sent],
  ['PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}', stateSent],
  ['PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}', sent],
  ['POST /_matrix/client/v3/rooms/{roomId}/redact/{eventId}', sent],
  ['POST /_matrix/client/v3/rooms/{roomId}/invite', nothing],
  ['POST /_matrix/client/v3/rooms/{roomId}/kick', nothing],
  ['POST /_matrix/client/v3/rooms/{roomId}/ban', nothing],
  ['POST /_matrix/client/v3/rooms/{roomId}/unban', nothing],
  ['POST /_matrix/client/v3/rooms/{roomId}/upgrade', (request) => ({ replacement_room: `!${nameFor(request)}` })],
  ['PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}', nothing],
]);

/** The answer to a request of a shadow-banned user; undefined where it is to be done. */
export function pretendedAnswer(
  { method, path }: Pick<Endpoint<never>, 'method' | 'path'>,
  request: ShadowedRequest,
): object | undefined {
  return PRETENDED.get(`${method} ${path}`)?.(request);
}

/** As long as an event id is, and the same for the same transaction. */
function nameFor({ params, requester }: ShadowedRequest): string {
  const subject = params['txnId'] === undefined ? randomBytes(SECRET_BYTES).toString('hex') : JSON.stringify(params);
  return createHmac('sha256', secret).update(`${requester.tokenId} ${subject}`).digest('base64url');
}
