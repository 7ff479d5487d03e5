/**
 * Rooms that are closed for this server, or destroyed. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#delete-room-api
 */
import { z } from 'zod';
import { isRoomId } from '#protocol/identifiers.ts';
import type { BackgroundTasks, Task } from '#src/admin/background-tasks.ts';
import { type RoomRemoval, removeRoom } from '#src/admin/remove-room.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';

const KIND = 'delete_room';

const removal = z.object({
  new_room_user_id: z.string().optional(),
  room_name: z.string().optional(),
  message: z.string().optional(),
  block: z.boolean().default(false),
  purge: z.boolean().default(true),
  force_purge: z.boolean().default(false),
});

const describe = ({ params, body }: { readonly params: { readonly roomId: string }; readonly body: object }) => {
  if (!isRoomId(params.roomId)) throw invalidParam('This is no room id.');
  return { after: body };
};

/** `DELETE /_synapse/admin/v1/rooms/{roomId}`: answers when it is done. */
export const deleteRoom = endpoint({
  method: 'DELETE',
  path: '/_synapse/admin/v1/rooms/{roomId}',
  auth: 'admin',
  may: 'rooms.write',
  rateLimit: 'none',
  body: removal,
  audit: { action: 'room.delete', describe },
  handler: ({ params, body, requester }, context: Context) =>
    removeRoom(context, removalOf(params.roomId, body, requester.userId)),
});

/** `DELETE /_synapse/admin/v2/rooms/{roomId}`: answers at once with an id to ask by. */
export const deleteRoomLater = endpoint({
  method: 'DELETE',
  path: '/_synapse/admin/v2/rooms/{roomId}',
  auth: 'admin',
  may: 'rooms.write',
  rateLimit: 'none',
  body: removal,
  audit: { action: 'room.delete', describe },
  handler: ({ params, body, requester }, context: Context) => {
    const wanted = removalOf(params.roomId, body, requester.userId);
    return { delete_id: context.tasks.start(KIND, params.roomId, () => removeRoom(context, wanted)) };
  },
});

/** `GET /_synapse/admin/v2/rooms/{roomId}/delete_status`: of all removals of a room since the server was started. */
export const roomDeletions = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v2/rooms/{roomId}/delete_status',
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'task.read' },
  rateLimit: 'none',
  handler: ({ params }, { tasks }: { readonly tasks: BackgroundTasks }) => {
    const found = tasks.about(KIND, params.roomId);
    if (found.length === 0) throw notFound('This room was not removed since the server was started.');
    return { results: found.map((task) => ({ delete_id: task.id, ...statusJson(task) })) };
  },
});

/** `GET /_synapse/admin/v2/rooms/delete_status/{deleteId}`. */
export const roomDeletion = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v2/rooms/delete_status/{deleteId}',
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'task.read' },
  rateLimit: 'none',
  handler: ({ params }, { tasks }: { readonly tasks: BackgroundTasks }) => {
    const task = tasks.get(params.deleteId);
    if (task?.kind !== KIND) throw notFound('There is no such removal since the server was started.');
    return statusJson(task);
  },
});

function statusJson({ status, result, error }: Task): object {
  return {
    status: status === 'active' ? 'shutting_down' : status,
    ...(error !== undefined && { error }),
    shutdown_room: { kicked_users: [], failed_to_kick_users: [], local_aliases: [], new_room_id: null, ...result },
  };
}

function removalOf(roomId: string, body: z.output<typeof removal>, by: string): RoomRemoval {
  return {
    roomId,
    block: body.block,
    purge: body.purge,
    newRoomUserId: body.new_room_user_id,
    newRoomName: body.room_name,
    message: body.message,
    by,
  };
}
