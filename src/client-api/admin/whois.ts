import type { Device } from '#src/accounts/devices.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { type AdminContext, targetUser } from './target-user.ts';

/**
 * `GET /_matrix/client/v3/admin/whois/{userId}`: from where somebody's devices were last seen; for administrators, and for
 * everybody about themselves. Only the last connection of each device is known, and only since the server started.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid
 */
export const whois = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/admin/whois/{userId}',
  auth: 'user',
  rateLimit: 'read',
  audit: {
    action: 'user.read',
    describe: ({ params, requester }) => (requester.userId === params.userId ? null : {}),
  },
  handler: ({ params, requester }, context: AdminContext) => {
    const { userId } = params;
    if (!requester.isAdmin && requester.userId !== userId) {
      throw forbidden('Only server administrators may ask about others.');
    }
    targetUser(context, userId);
    const devices = context.accounts.devices.list(userId);
    return {
      user_id: userId,
      devices: Object.fromEntries(devices.map((device) => [device.deviceId, { sessions: sessionsOf(device) }])),
    };
  },
});

function sessionsOf({ lastSeenIp, lastSeenAtMs, userAgent }: Device): object[] {
  if (lastSeenIp === undefined) return [{ connections: [] }];
  const connection = {
    ip: lastSeenIp,
    last_seen: lastSeenAtMs,
    ...(userAgent !== undefined && { user_agent: userAgent }),
  };
  return [{ connections: [connection] }];
}
