import type { Device } from '#src/accounts/devices.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { roleHas } from '#src/roles/capabilities.ts';
import { type AdminContext, targetUser } from './target-user.ts';

/**
 * `GET /_matrix/client/v3/admin/whois/{userId}`: from where somebody's devices were last seen; for administrators, and for
 * everybody about themselves. Only the last connection of each device is known, and only since the server started.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid
 */
export const whois = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/admin/whois/{userId}',
  aliases: ['/_synapse/admin/v1/whois/{userId}'],
  auth: 'user',
  rateLimit: 'read',
  audit: {
    action: 'user.read',
    describe: ({ params, requester }, { roles }: Pick<Context, 'roles'>) => {
      if (requester.userId === params.userId) return null;
      const isAllowed = roles.standings(requester).some(({ role }) => roleHas(role, 'users.read'));
      if (!isAllowed) throw forbidden('Only server administrators may ask about others.');
      return {};
    },
  },
  handler: ({ params }, context: AdminContext) => {
    const { userId } = params;
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
