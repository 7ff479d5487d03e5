import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/account/whoami`: whose the access token is.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami
 */
export const whoami = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/account/whoami',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester: { userId, deviceId, isGuest } }) => ({
    user_id: userId,
    ...(deviceId !== undefined && { device_id: deviceId }),
    is_guest: isGuest,
  }),
});
