/**
 * Addresses of users at identity servers. This server keeps no addresses of its own: it passes on what a user proved to an
 * identity server, and remembers which server was told, so that it can be told otherwise.
 */
import { identityBindingsOf } from '#projections/identity-bindings/projection.ts';
import {
  IDENTITY_BOUND,
  IDENTITY_UNBOUND,
  type IdentityBinding,
  identityBindingRecord,
} from '#projections/identity-bindings/records.ts';
import type { Context } from '#src/context.ts';
import type { AddressProof } from '#src/federation/identity-servers.ts';
import { MatrixError } from '#src/http/errors.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';

/** Most addresses of a user that are remembered, each identity server counted. */
export const MAX_BINDINGS_PER_USER = 100;

export type BindingContext = UserStreamContext & Pick<Context, 'identity'>;

/** Whether identity servers forgot what they were asked to; the wire's words. */
export type UnbindResult = 'success' | 'no-support';

/** An address to take back, and, where the user says so, from which server. */
export interface AddressToUnbind {
  readonly medium: string;
  readonly address: string;
  readonly idServer: string | undefined;
}

/**
 * Has an identity server bind the address that the user proved to it.
 * @throws {MatrixError} `M_RESOURCE_LIMIT_EXCEEDED`, and what the identity server makes of it.
 */
export async function bindAddress(context: BindingContext, userId: string, proof: AddressProof): Promise<void> {
  if (identityBindingsOf(context.reader, userId).length >= MAX_BINDINGS_PER_USER) {
    throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', `At most ${MAX_BINDINGS_PER_USER} addresses can be bound.`);
  }
  const { medium, address } = await context.identity.bind(proof, userId);
  const binding = { userId, idServer: proof.idServer, medium, address };
  await changeUser(context, userId, () => [identityBindingRecord(context.newRecordId(), IDENTITY_BOUND, binding)]);
}

/**
 * Takes an address back: from the server that is named, else from those that were told of it; `no-support` if none is known.
 * @throws {MatrixError} what the identity server makes of it.
 */
export async function unbindAddress(
  context: BindingContext,
  userId: string,
  { medium, address, idServer }: AddressToUnbind,
): Promise<UnbindResult> {
  const wanted = canonical(medium, address);
  const known = identityBindingsOf(context.reader, userId).filter(
    (one) => canonical(one.medium, one.address) === wanted && (idServer === undefined || one.idServer === idServer),
  );
  const asked = known.length === 0 && idServer !== undefined ? [{ userId, idServer, medium, address }] : known;
  return unbind(context, asked);
}

/**
 * Takes back all addresses of a user, from the servers that were told or from the one that is named. An identity server that
 * fails keeps nobody from closing an account.
 */
export async function unbindAllAddresses(
  context: BindingContext,
  userId: string,
  idServer: string | undefined,
): Promise<UnbindResult> {
  const results = await Promise.allSettled(
    identityBindingsOf(context.reader, userId).map((binding) => unbind(context, [binding], idServer)),
  );
  const isDone = results.every((result) => result.status === 'fulfilled' && result.value === 'success');
  return isDone ? 'success' : 'no-support';
}

async function unbind(
  context: BindingContext,
  bindings: readonly IdentityBinding[],
  elsewhere?: string,
): Promise<UnbindResult> {
  let result: UnbindResult = bindings.length === 0 ? 'no-support' : 'success';
  for (const binding of bindings) {
    const idServer = elsewhere ?? binding.idServer;
    if (!(await context.identity.unbind({ ...binding, idServer }))) {
      result = 'no-support';
      continue;
    }
    const gone = { ...binding, idServer };
    await changeUser(context, binding.userId, () => [
      identityBindingRecord(context.newRecordId(), IDENTITY_UNBOUND, gone),
    ]);
  }
  return result;
}

/** E-mail addresses are the same in any case. https://spec.matrix.org/v1.19/appendices/#3pid-types */
function canonical(medium: string, address: string): string {
  return `${medium} ${medium === 'email' ? address.toLowerCase() : address}`;
}
