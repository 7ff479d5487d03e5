import { z } from 'zod';
import type { ThirdPartyAddress } from '#src/federation/identity-servers.ts';
import { missingParam } from '#src/http/errors.ts';

/** Longest address. Source: RFC 5321, and more than any phone number. */
const MAX_ADDRESS_LENGTH = 320;

/** Whom to invite, where only an address is known. https://spec.matrix.org/v1.19/client-server-api/#third-party-invites */
export const addressSchema = z.object({
  id_server: z.string(),
  id_access_token: z.string(),
  medium: z.enum(['email', 'msisdn']),
  address: z.string().max(MAX_ADDRESS_LENGTH),
});

/** The same, all of it there. @throws {MatrixError} M_MISSING_PARAM */
export function addressOf(body: Partial<z.output<typeof addressSchema>>): ThirdPartyAddress {
  const { id_server: idServer, id_access_token: idAccessToken, medium, address } = body;
  if (idServer === undefined) throw missingParam('id_server');
  if (idAccessToken === undefined) throw missingParam('id_access_token');
  if (medium === undefined) throw missingParam('medium');
  if (address === undefined) throw missingParam('address');
  return { idServer, idAccessToken, medium, address: medium === 'email' ? address.toLowerCase() : address };
}
