/**
 * The devices of a user. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#user-devices
 */
import { z } from 'zod';
import type { Device } from '#src/accounts/devices.ts';
import { jsonAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { type AdminContext, targetUser } from '../target-user.ts';

const LIST = '/_synapse/admin/v2/users/{userId}/devices';
const ONE = '/_synapse/admin/v2/users/{userId}/devices/{deviceId}';
/** Devices of one request that removes several. */
const MAX_REMOVED = 1_000;

/** `GET …/devices`. */
export const listUserDevices = endpoint({
  method: 'GET',
  path: LIST,
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: AdminContext) => {
    targetUser(context, params.userId);
    const devices = context.accounts.devices.list(params.userId).map((device) => deviceJson(params.userId, device));
    return { devices, total: devices.length };
  },
});

/** `POST …/devices`: makes a device that nobody is logged in on. */
export const addUserDevice = endpoint({
  method: 'POST',
  path: LIST,
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ device_id: z.string() }),
  audit: {
    action: 'user.modify',
    describe: ({ params, body }, context: AdminContext) => {
      targetUser(context, params.userId);
      return { target: { kind: 'device', id: `${params.userId} ${body.device_id}` }, after: body };
    },
  },
  handler: async ({ params, body }, { accounts }: AdminContext) => {
    await accounts.devices.add(params.userId, body.device_id);
    return jsonAnswer(201, {});
  },
});

/** `GET …/devices/{deviceId}`. */
export const getUserDevice = endpoint({
  method: 'GET',
  path: ONE,
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: AdminContext) => deviceJson(params.userId, deviceOf(context, params)),
});

/** `PUT …/devices/{deviceId}`: another display name. */
export const putUserDevice = endpoint({
  method: 'PUT',
  path: ONE,
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ display_name: z.string().optional() }),
  audit: {
    action: 'user.modify',
    describe: ({ params, body }, context: AdminContext) => ({
      target: { kind: 'device', id: `${params.userId} ${params.deviceId}` },
      before: { display_name: deviceOf(context, params).displayName ?? null },
      after: body,
    }),
  },
  handler: async ({ params, body }, { accounts }: AdminContext) => {
    if (body.display_name !== undefined)
      await accounts.devices.rename(params.userId, params.deviceId, body.display_name);
    return {};
  },
});

/** `DELETE …/devices/{deviceId}`: logs it out. */
export const deleteUserDevice = endpoint({
  method: 'DELETE',
  path: ONE,
  auth: 'admin',
  may: 'users.write',
  audit: {
    action: 'device.delete',
    describe: ({ params }, context: AdminContext) => {
      targetUser(context, params.userId);
      return { target: { kind: 'device', id: `${params.userId} ${params.deviceId}` } };
    },
  },
  rateLimit: 'none',
  handler: async ({ params }, { accounts }: AdminContext) => {
    await accounts.devices.remove(params.userId, [params.deviceId]);
    return {};
  },
});

/** `POST …/delete_devices`: logs several out. */
export const deleteUserDevices = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v2/users/{userId}/delete_devices',
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ devices: z.array(z.string()).max(MAX_REMOVED) }),
  audit: {
    action: 'device.delete',
    describe: ({ params, body }, context: AdminContext) => {
      targetUser(context, params.userId);
      return { before: { devices: body.devices } };
    },
  },
  handler: async ({ params, body }, { accounts }: AdminContext) => {
    await accounts.devices.remove(params.userId, body.devices);
    return {};
  },
});

function deviceOf(
  context: AdminContext,
  { userId, deviceId }: { readonly userId: string; readonly deviceId: string },
): Device {
  targetUser(context, userId);
  const device = context.accounts.devices.get(userId, deviceId);
  if (device === undefined) throw notFound('The user has no such device.');
  return device;
}

function deviceJson(userId: string, { deviceId, displayName, lastSeenIp, lastSeenAtMs, userAgent }: Device): object {
  return {
    device_id: deviceId,
    display_name: displayName ?? null,
    last_seen_ip: lastSeenIp ?? null,
    last_seen_user_agent: userAgent ?? null,
    last_seen_ts: lastSeenAtMs,
    user_id: userId,
  };
}
