import { z } from 'zod';
import { isActiveUser } from '#projections/accounts/queries.ts';
import { jsonObjectSchema, userIdSchema } from '#src/client-api/schemas.ts';
import type { Context } from '#src/context.ts';
import { FederationError } from '#src/federation/errors.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';

/** Invites of one request that are looked at: each may cost a request to another server. */
const MAX_INVITES = 20;

const declaration = {
  path: '/_matrix/federation/v1/3pid/onbind',
  auth: 'none',
  // Like asking for keys, which anybody may: it can make this server ask others.
  rateLimit: 'keys',
  body: z.object({
    mxid: userIdSchema,
    invites: z
      .array(z.object({ mxid: userIdSchema, room_id: z.string(), sender: userIdSchema, signed: jsonObjectSchema }))
      .default([]),
  }),
} as const;

type OnBindContext = Pick<Context, 'reader' | 'thirdPartyInvites'>;
type Body = z.output<typeof declaration.body>;

/**
 * `PUT /_matrix/federation/v1/3pid/onbind`: an identity server says that a user of this server has an address, and which invites
 * wait for it. Anybody can say so; what counts is what is signed with the keys of the invites.
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind
 */
export const onBind = endpoint({
  ...declaration,
  method: 'PUT',
  handler: ({ body, log }, context: OnBindContext) => redeemAll(body, log, context),
});

/** The same with the method that identity servers use. */
export const postOnBind = endpoint({
  ...declaration,
  method: 'POST',
  handler: ({ body, log }, context: OnBindContext) => redeemAll(body, log, context),
});

async function redeemAll(
  { mxid, invites }: Body,
  log: { info(details: object, message: string): void },
  { reader, thirdPartyInvites }: OnBindContext,
): Promise<object> {
  if (!isActiveUser(reader, mxid)) return {};
  let failure: unknown;
  for (const { mxid: target, room_id: roomId, sender, signed } of invites.slice(0, MAX_INVITES)) {
    if (target !== mxid) continue;
    try {
      await thirdPartyInvites.redeem({ roomId, sender, target, signed });
    } catch (error) {
      // The others are no worse for it; the identity server is told in the end.
      if (!(error instanceof MatrixError || error instanceof FederationError)) throw error;
      log.info({ roomId, reason: error.message }, 'an invite by address was not redeemed');
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
  return {};
}
