import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { exportJson } from './export-json.ts';

/** `GET /_stele/admin/exports/{exportId}`: how an export stands, and what is in it once it is finished; not what people wrote. */
export const getExport = endpoint({
  method: 'GET',
  path: '/_stele/admin/exports/{exportId}',
  auth: 'admin',
  may: 'exports.read',
  rateLimit: 'none',
  audit: {
    action: 'export.read',
    describe: ({ params }, { exports }: Pick<Context, 'exports'>) => {
      const { id, caseId } = exports.find(params.exportId);
      return { target: { kind: 'export', id }, caseId };
    },
  },
  handler: ({ params }, { exports }: Pick<Context, 'exports'>) => exportJson(exports, exports.find(params.exportId)),
});
