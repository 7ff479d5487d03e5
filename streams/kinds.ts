/**
 * Every kind of record that the log may hold: kind → the version written now and what the record says. A kind's name is
 * public and hashed with its record; it says nothing personal. Rows are added, never removed: old records stay readable.
 */
export const recordKinds = {
  pdu: {
    version: 1,
    says: 'A PDU as first seen: its skeleton (what redaction keeps) and its content (what it strips).',
  },
} as const satisfies Readonly<Record<string, { readonly version: number; readonly says: string }>>;

/** A kind in the catalogue. */
export type RecordKind = keyof typeof recordKinds;
