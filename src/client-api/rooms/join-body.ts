import { z } from 'zod';
import type { JsonObject } from '#protocol/pdu.ts';
import type { MembershipOptions } from '#src/rooms/membership.ts';
import { jsonObjectSchema } from '../schemas.ts';

/** The body of a join. What else a client says goes into its member event, as the network has always done. */
export const joinBody = z.looseObject({
  reason: z.string().optional(),
  third_party_signed: jsonObjectSchema.optional(),
});

/** The same as the options of a join. */
export function joinOptions(body: z.output<typeof joinBody>): MembershipOptions {
  const { reason, third_party_signed: thirdPartySigned, ...content } = body;
  return { reason, thirdPartySigned, content: content as JsonObject };
}
