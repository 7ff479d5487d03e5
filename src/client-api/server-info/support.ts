import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /.well-known/matrix/support`: whom to turn to about this server, if the configuration says.
 * https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport
 */
export const wellKnownSupport = endpoint({
  method: 'GET',
  path: '/.well-known/matrix/support',
  auth: 'none',
  rateLimit: 'read',
  handler: (_request, { config: { support } }: Pick<Context, 'config'>) => {
    if (support.contacts.length === 0 && support.page === null) throw notFound('This server names no contacts.');
    return {
      ...(support.contacts.length > 0 && { contacts: support.contacts.map(contactOf) }),
      ...(support.page !== null && { support_page: support.page }),
    };
  },
});

function contactOf({ role, matrix_id, email_address }: Context['config']['support']['contacts'][number]): object {
  return {
    role,
    ...(matrix_id !== null && { matrix_id }),
    ...(email_address !== null && { email_address }),
  };
}
