/** Which addresses of users are known to identity servers, so that they can be taken back there. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, empty, str, tuple } from '#projections/engine/table.ts';
import { IDENTITY_BOUND, IDENTITY_UNBOUND, type IdentityBinding, readIdentityBinding } from './records.ts';

const bindings = defineTable({
  name: 'identity-bindings.bindings',
  key: tuple<[userId: string, medium: string, address: string, idServer: string]>(str, str, str, str),
  value: empty,
  why: 'Whoever takes back an address, or closes the account, need not say which identity servers were told of it.',
});

export const identityBindingsProjection: Projection = {
  name: 'identity-bindings',
  version: 1,
  tables: [bindings],
  apply(tx, record) {
    if (record.kind !== IDENTITY_BOUND && record.kind !== IDENTITY_UNBOUND) return;
    const binding = readIdentityBinding(record);
    if (binding === undefined) return;
    const key = [binding.userId, binding.medium, binding.address, binding.idServer] as const;
    if (record.kind === IDENTITY_BOUND) tx.put(bindings, key, true);
    else tx.remove(bindings, key);
  },
};

/** What identity servers were told of a user, in order of medium, address and server. */
export function identityBindingsOf(reader: Reader, userId: string): IdentityBinding[] {
  return Array.from(reader.keys(bindings, { prefix: [userId] }), ([, medium, address, idServer]) => ({
    userId,
    idServer,
    medium,
    address,
  }));
}
