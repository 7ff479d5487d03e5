/**
 * The `profile.set` record of a user stream: section 0 msgpack `[userId, field]`, section 1 the value as JSON text, empty when
 * the field was removed. Destroying the key of section 1 takes the field away.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const PROFILE_SET = 'profile.set';

/** A field of a user's profile was set or removed. */
export interface ProfileSet {
  readonly userId: string;
  readonly field: string;
  /** JSON text; undefined when the field was removed, or its value erased. */
  readonly valueJson: string | undefined;
}

const packr = new Packr({ useRecords: false });
const decoder = new TextDecoder();

/** The record of a change of a profile. */
export function profileRecord(id: Uint8Array, { userId, field, valueJson }: ProfileSet): RecordDraft {
  return {
    id,
    kind: PROFILE_SET,
    version: recordKinds[PROFILE_SET].version,
    sections: [packr.pack([userId, field]), Buffer.from(valueJson ?? '', 'utf8')],
  };
}

/** What a `profile.set` record says; undefined where the key of its section 0 was destroyed. */
export function readProfile(record: LogRecord): ProfileSet | undefined {
  const [head, value] = record.sections;
  if (!head) return undefined;
  const [userId, field] = packr.unpack(head) as [string, string];
  return { userId, field, valueJson: value && value.length > 0 ? decoder.decode(value) : undefined };
}
