import { Readable } from 'node:stream';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { tarEntries, tarPieces, tarSize } from '#src/exports/tar.ts';
import { RawAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { standingOf } from '#src/http/guard.ts';
import { recordRooms } from './record-rooms.ts';

/**
 * `GET /_stele/admin/exports/{exportId}/archive`: a finished export as a tar archive, of which `stele export verify` checks the folder. It
 * is on record for each room of which something may be in it.
 */
export const downloadExport = endpoint({
  method: 'GET',
  path: '/_stele/admin/exports/{exportId}/archive',
  auth: 'admin',
  may: 'exports.read',
  rateLimit: 'none',
  audit: {
    action: 'export.download',
    describe: ({ params }, { exports }: Pick<Context, 'exports'>) => {
      const { id, caseId } = exports.find(params.exportId);
      exports.filesOf(id);
      return { target: { kind: 'export', id }, caseId };
    },
  },
  handler: async ({ params, requester, ip }, context: Pick<Context, 'exports' | 'audit'>) => {
    const { id, roomIds } = context.exports.find(params.exportId);
    const { reason, caseId } = standingOf(requester);
    await recordRooms(context, roomIds, { actor: actorOf(requester), action: 'export.download', reason, caseId, ip });
    const name = `stele-export-${id}`;
    const entries = await tarEntries(context.exports.filesOf(id), name);
    return new RawAnswer({
      headers: {
        'content-type': 'application/x-tar',
        'content-length': String(tarSize(entries)),
        'content-disposition': `attachment; filename="${name}.tar"`,
        'cache-control': 'private, no-store',
        'x-content-type-options': 'nosniff',
      },
      body: Readable.from(tarPieces(entries), { objectMode: false }),
    });
  },
});
