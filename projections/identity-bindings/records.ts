/**
 * The records of a user stream that say at which identity servers addresses of the user are bound to it.
 *
 * `identity.bound`, `identity.unbound`: one section, msgpack `[userId, idServer, medium, address]`.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const IDENTITY_BOUND = 'identity.bound';
export const IDENTITY_UNBOUND = 'identity.unbound';

/** An address of a user that an identity server knows, because this server told it. */
export interface IdentityBinding {
  readonly userId: string;
  /** Server name. */
  readonly idServer: string;
  /** `email` or `msisdn`. */
  readonly medium: string;
  /** As the identity server spells it. */
  readonly address: string;
}

const packr = new Packr({ useRecords: false });

/** The record of an address that was bound, or is bound no more. */
export function identityBindingRecord(
  id: Uint8Array,
  kind: typeof IDENTITY_BOUND | typeof IDENTITY_UNBOUND,
  { userId, idServer, medium, address }: IdentityBinding,
): RecordDraft {
  const sections = [packr.pack([userId, idServer, medium, address])];
  return { id, kind, version: recordKinds[kind].version, sections };
}

/** What either record says; undefined where its key was destroyed. */
export function readIdentityBinding(record: LogRecord): IdentityBinding | undefined {
  const section = record.sections[0];
  if (!section) return undefined;
  const [userId, idServer, medium, address] = packr.unpack(section) as [string, string, string, string];
  return { userId, idServer, medium, address };
}
