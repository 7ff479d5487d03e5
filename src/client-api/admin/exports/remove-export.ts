import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { exportJson } from './export-json.ts';

/** `DELETE /_stele/admin/exports/{exportId}`: removes an export from the server, or ends its making. What it is of stays. */
export const removeExport = endpoint({
  method: 'DELETE',
  path: '/_stele/admin/exports/{exportId}',
  auth: 'admin',
  may: 'exports.write',
  rateLimit: 'none',
  audit: {
    action: 'export.remove',
    describe: ({ params }, { exports }: Pick<Context, 'exports'>) => {
      const found = exports.find(params.exportId);
      return {
        target: { kind: 'export', id: found.id },
        caseId: found.caseId,
        before: exportJson(exports, found),
      };
    },
  },
  handler: async ({ params }, { exports }: Pick<Context, 'exports'>) => {
    await exports.remove(params.exportId);
    return {};
  },
});
