/**
 * The records of the stream `server-quarantine`: which media nobody may see, and which none may hide. One section each, msgpack.
 * They are in no media's own stream, since media of other servers have none.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const QUARANTINE_STREAM = 'server-quarantine';

/** That something about the quarantine changed. `by` is the administrator's user id. */
export type QuarantineChange =
  | {
      readonly kind: 'media.quarantine_changed';
      readonly serverName: string;
      readonly mediaId: string;
      /** SHA-256 of the content, lower-case hex; null where this server has not got it. */
      readonly sha256: string | null;
      readonly isQuarantined: boolean;
      readonly by: string;
    }
  /** Of media of this server. */
  | {
      readonly kind: 'media.protection_changed';
      readonly mediaId: string;
      readonly isProtected: boolean;
      readonly by: string;
    };

type Quarantined = [serverName: string, mediaId: string, sha256: Uint8Array | null, isQuarantined: boolean, by: string];
type Protected = [mediaId: string, isProtected: boolean, by: string];

const packr = new Packr({ useRecords: false, copyBuffers: true });

/** The record of a change. */
export function quarantineRecord(id: Uint8Array, change: QuarantineChange): RecordDraft {
  return {
    id,
    kind: change.kind,
    version: recordKinds[change.kind].version,
    sections: [packr.pack(partsOf(change))],
    decoded: change,
  };
}

function partsOf(change: QuarantineChange): Quarantined | Protected {
  if (change.kind === 'media.protection_changed') return [change.mediaId, change.isProtected, change.by];
  const { serverName, mediaId, sha256, isQuarantined, by } = change;
  return [serverName, mediaId, sha256 === null ? null : Buffer.from(sha256, 'hex'), isQuarantined, by];
}

/** What a record says of the quarantine; undefined for a record of another kind, or whose key was destroyed. */
export function readQuarantineRecord({ kind, sections, decoded }: LogRecord): QuarantineChange | undefined {
  const section = sections[0];
  if (!section || (kind !== 'media.quarantine_changed' && kind !== 'media.protection_changed')) return undefined;
  if (decoded !== undefined) return decoded as QuarantineChange;
  if (kind === 'media.protection_changed') {
    const [mediaId, isProtected, by] = packr.unpack(section) as Protected;
    return { kind, mediaId, isProtected, by };
  }
  const [serverName, mediaId, sha256, isQuarantined, by] = packr.unpack(section) as Quarantined;
  const digest = sha256 === null ? null : Buffer.from(sha256).toString('hex');
  return { kind, serverName, mediaId, sha256: digest, isQuarantined, by };
}
