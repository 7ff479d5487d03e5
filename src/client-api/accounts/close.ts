import type { Context } from '#src/context.ts';
import { type BindingContext, type UnbindResult, unbindAllAddresses } from '../third-party-ids/bindings.ts';

/** What closing an account needs. */
export type ClosingContext = BindingContext & Pick<Context, 'accounts'>;

/** How an account is closed. */
export interface Closing {
  /** Whether as much as possible of the user is to be erased. */
  readonly isErased: boolean;
  /** The identity server that is to forget the addresses, where another is meant than those that were told of them. */
  readonly idServer?: string | undefined;
}

/**
 * Closes an account for ever, whoever wants it: identity servers forget the addresses, then devices, tokens and password go, the
 * rooms are left, and where it is wished an erasure begins. Gives whether all identity servers did as they were asked.
 * @throws {MatrixError} `M_NOT_FOUND`, `M_USER_DEACTIVATED`
 */
export async function closeForEver(
  context: ClosingContext,
  userId: string,
  { isErased, idServer }: Closing,
): Promise<UnbindResult> {
  const result = await unbindAllAddresses(context, userId, idServer);
  await context.accounts.deactivate(userId, { isErased });
  return result;
}
