import { availableRoomVersions } from '#protocol/room-version.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/capabilities`: what this server and this account can do.
 * https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation
 */
export const capabilities = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/capabilities',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester }, { config }: Pick<Context, 'config'>) => ({
    capabilities: {
      'm.change_password': { enabled: true },
      'm.room_versions': { default: config.default_room_version, available: availableRoomVersions() },
      'm.profile_fields': { enabled: true },
      'm.set_displayname': { enabled: true },
      'm.set_avatar_url': { enabled: true },
      'm.3pid_changes': { enabled: false },
      'm.get_login_token': { enabled: false },
      'm.forget_forced_upon_leave': { enabled: false },
      ...(requester.isAdmin && { 'm.account_moderation': { suspend: true, lock: true } }),
    },
  }),
});
