import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';

/**
 * `GET /_matrix/federation/v1/query/{queryType}`: a query of a type that this server does not know. Those that it knows have files of
 * their own.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryquerytype
 */
export const query = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/query/{queryType}',
  auth: 'server',
  rateLimit: 'federation',
  handler: () => {
    throw new MatrixError('M_UNRECOGNIZED', 'This server does not know queries of that type.');
  },
});
