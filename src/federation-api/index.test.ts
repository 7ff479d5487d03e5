import { expect, it } from 'vitest';
import { federationEndpoints } from './index.ts';

/**
 * Every request of the server-server API of v1.19 that a homeserver answers. The path of any other query answers as every unknown
 * path does, and `/_matrix/policy/v1/sign` is for policy servers.
 */
const OF_THE_SPECIFICATION = [
  'GET /.well-known/matrix/server',
  'GET /_matrix/federation/v1/backfill/:roomId',
  'GET /_matrix/federation/v1/event/:eventId',
  'GET /_matrix/federation/v1/event_auth/:roomId/:eventId',
  'GET /_matrix/federation/v1/hierarchy/:roomId',
  'GET /_matrix/federation/v1/make_join/:roomId/:userId',
  'GET /_matrix/federation/v1/make_knock/:roomId/:userId',
  'GET /_matrix/federation/v1/make_leave/:roomId/:userId',
  'GET /_matrix/federation/v1/media/download/:mediaId',
  'GET /_matrix/federation/v1/media/thumbnail/:mediaId',
  'GET /_matrix/federation/v1/openid/userinfo',
  'GET /_matrix/federation/v1/publicRooms',
  'GET /_matrix/federation/v1/query/directory',
  'GET /_matrix/federation/v1/query/profile',
  'GET /_matrix/federation/v1/state/:roomId',
  'GET /_matrix/federation/v1/state_ids/:roomId',
  'GET /_matrix/federation/v1/timestamp_to_event/:roomId',
  'GET /_matrix/federation/v1/user/devices/:userId',
  'GET /_matrix/federation/v1/version',
  'GET /_matrix/key/v2/query/:serverName',
  'GET /_matrix/key/v2/server',
  'POST /_matrix/federation/v1/get_missing_events/:roomId',
  'POST /_matrix/federation/v1/publicRooms',
  'POST /_matrix/federation/v1/user/keys/claim',
  'POST /_matrix/federation/v1/user/keys/query',
  'POST /_matrix/key/v2/query',
  'PUT /_matrix/federation/v1/3pid/onbind',
  'PUT /_matrix/federation/v1/exchange_third_party_invite/:roomId',
  'PUT /_matrix/federation/v1/invite/:roomId/:eventId',
  'PUT /_matrix/federation/v1/send/:txnId',
  'PUT /_matrix/federation/v1/send_knock/:roomId/:eventId',
  'PUT /_matrix/federation/v2/invite/:roomId/:eventId',
  'PUT /_matrix/federation/v2/send_join/:roomId/:eventId',
  'PUT /_matrix/federation/v2/send_leave/:roomId/:eventId',
];
/** Gone from the specification, and still asked by older servers. */
const OLDER = [
  'PUT /_matrix/federation/v1/send_join/:roomId/:eventId',
  'PUT /_matrix/federation/v1/send_leave/:roomId/:eventId',
];
/** What may be asked without a signature: keys, the version, where the server is, and who has an OpenID token. */
const UNSIGNED =
  /\/_matrix\/key\/|\/version$|\/\.well-known\/|\/openid\/userinfo$|\/3pid\/onbind$|\/exchange_third_party_invite\//;

const routes = federationEndpoints.flatMap(({ method, path, aliases = [], auth }) =>
  [path, ...aliases].map((one) => ({ route: `${method} ${one.replaceAll(/\{(\w+)\}/g, ':$1')}`, auth })),
);

it.each([...OF_THE_SPECIFICATION, ...OLDER])('%s is answered', (wanted) => {
  expect(routes.map(({ route }) => route)).toContain(wanted);
});

it('what is not for everybody is answered only to servers that sign what they ask', () => {
  const open = routes.filter(({ auth }) => auth !== 'server').map(({ route }) => route);
  expect(open.filter((route) => !UNSIGNED.test(route))).toEqual([]);
});
