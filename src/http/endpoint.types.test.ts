import { expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { type Endpoint, endpoint, type Requester } from './endpoint.ts';

interface Clock {
  nowMs(): number;
}
interface Names {
  nameOf(userId: string): string;
}

test('a handler sees the types of its declaration', () => {
  const send = endpoint({
    method: 'PUT',
    path: '/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}',
    auth: 'user',
    rateLimit: 'write',
    body: 'json',
    handler: async (request, context: Clock) => {
      expectTypeOf(request.params.roomId).toEqualTypeOf<string>();
      expectTypeOf(request.params.txnId).toEqualTypeOf<string>();
      expectTypeOf(request.requester).toEqualTypeOf<Requester>();
      return { event_id: `${context.nowMs()}` };
    },
  });
  const profile = endpoint({
    method: 'POST',
    path: '/_matrix/client/v3/profile',
    auth: 'optional',
    rateLimit: 'read',
    query: z.object({ limit: z.coerce.number() }),
    body: z.object({ name: z.string().optional() }),
    handler: (request, context: Names) => {
      expectTypeOf(request.query.limit).toEqualTypeOf<number>();
      expectTypeOf(request.body.name).toEqualTypeOf<string | undefined>();
      expectTypeOf(request.requester).toEqualTypeOf<Requester | undefined>();
      return { name: context.nameOf('x') };
    },
  });
  const nothing = endpoint({
    method: 'GET',
    path: '/_matrix/client/versions',
    auth: 'none',
    rateLimit: 'none',
    handler: (request) => {
      expectTypeOf(request.requester).toEqualTypeOf<undefined>();
      return { versions: [] };
    },
  });
  // Each wants something else; together they want all of it.
  const all: Endpoint<Clock & Names>[] = [send, profile, nothing];
  expect(all).toHaveLength(3);
});
