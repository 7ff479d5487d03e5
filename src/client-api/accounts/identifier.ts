import { z } from 'zod';
import { MatrixError, missingParam } from '#src/http/errors.ts';

/**
 * How a client says whom it means.
 * https://spec.matrix.org/v1.19/client-server-api/#identifier-types
 */
export const identifierSchema = z.looseObject({ type: z.string().optional(), user: z.string().optional() });

/** Where clients name the user: in `identifier`, or as older ones do, beside the password. */
export const namedUserSchema = z.looseObject({
  identifier: identifierSchema.optional(),
  user: z.string().optional(),
  medium: z.string().optional(),
  address: z.string().optional(),
});

/**
 * The user id or localpart that is named; undefined for an address or a phone number, which no account of this server has.
 * Throws `M_MISSING_PARAM` if nobody is named, `M_UNKNOWN` (400) for an identifier of another type.
 */
export function namedUser({ identifier, user, medium, address }: z.output<typeof namedUserSchema>): string | undefined {
  if (identifier === undefined) {
    if (user !== undefined) return user;
    if (medium !== undefined && address !== undefined) return undefined;
    throw missingParam('identifier');
  }
  switch (identifier.type) {
    case 'm.id.user':
      if (identifier.user === undefined) throw missingParam('identifier.user');
      return identifier.user;
    case 'm.id.thirdparty':
    case 'm.id.phone':
      return undefined;
    case undefined:
      // The example of the specification for addresses has no type.
      if ('medium' in identifier) return undefined;
      throw missingParam('identifier.type');
    default:
      throw new MatrixError('M_UNKNOWN', 'Identifiers of this type are not supported.', { status: 400 });
  }
}
