import { z } from 'zod';
import { actorName } from '#projections/audit/projection.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { roomsOfQuery } from '#src/exports/rooms-of-query.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { userIdSchema } from '../../schemas.ts';
import { caseIdSchema, reasonSchema } from '../grounds.ts';
import { recordRooms } from './record-rooms.ts';

/** Users, and rooms, that one export may be asked for by name. */
const MAX_NAMED = 1_000;
const time = z.int().min(0).optional();

type MakeContext = Pick<Context, 'exports' | 'reader' | 'audit'>;

/**
 * `POST /_stele/admin/exports`: asks for an export of what users did, of what is in rooms, or of both together; with `everything` of all
 * rooms. Answers when it is sure to be made; how far it is is at `GET /_stele/admin/exports/{exportId}`.
 */
export const makeExport = endpoint({
  method: 'POST',
  path: '/_stele/admin/exports',
  auth: 'admin',
  may: 'exports.write',
  rateLimit: 'none',
  body: z.object({
    case_id: caseIdSchema,
    reason: reasonSchema,
    users: z.array(userIdSchema).max(MAX_NAMED).default([]),
    /** Room ids. */
    rooms: z.array(z.string()).max(MAX_NAMED).default([]),
    /** Sent at this time or later, and before that: milliseconds since the epoch. */
    from_ts: time,
    to_ts: time,
    everything: z.boolean().default(false),
  }),
  audit: {
    action: 'export.make',
    describe: ({ body }, { exports, reader }: MakeContext) => {
      const { users, rooms, from_ts, to_ts, everything, case_id: caseId } = body;
      exports.checkRoom();
      if (users.length + rooms.length === 0 && !everything) {
        throw invalidParam('Say of whom ("users") or of which rooms ("rooms"), or "everything".');
      }
      const unknown = rooms.find((roomId) => findRoom(reader, roomId) === undefined);
      if (unknown !== undefined) throw notFound(`There is no room ${unknown} here.`);
      return { target: { kind: 'case', id: caseId }, caseId, after: { query: { users, rooms, from_ts, to_ts } } };
    },
  },
  handler: async ({ body, requester, ip }, context: MakeContext) => {
    const { case_id: caseId, reason, users, rooms, from_ts: fromMs, to_ts: toMs } = body;
    const query = { users, rooms, ...(fromMs !== undefined && { fromMs }), ...(toMs !== undefined && { toMs }) };
    const roomIds = roomsOfQuery(context.reader, query);
    const actor = actorOf(requester);
    await recordRooms(context, roomIds, { actor, action: 'export.make', caseId, reason, ip });
    return { export_id: await context.exports.request({ caseId, reason, by: actorName(actor), query, roomIds }) };
  },
});
