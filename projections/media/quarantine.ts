/** Which media nobody may see, of whichever server, and which of this server none may hide. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { bytes, defineTable, empty, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import type { Position } from '#streams/event-log.ts';
import { type QuarantineChange, readQuarantineRecord } from './quarantine-records.ts';

/** How a media is in quarantine. */
export interface QuarantineRow {
  /** The administrator who put it there. */
  readonly by: string;
  /** SHA-256 of the content, lower-case hex; null where it was not known. */
  readonly sha256: string | null;
}

type ChangeRow = readonly [serverName: string, mediaId: string, isQuarantined: boolean];

const SHA256_BYTES = 32;

const quarantined = defineTable({
  name: 'media-quarantine.media',
  key: tuple<[serverName: string, mediaId: string]>(str, str),
  value: msgpack<QuarantineRow>(),
  why: 'A download names the server and the media id.',
});

const byContent = defineTable({
  name: 'media-quarantine.by-content',
  key: tuple<[sha256: Uint8Array, serverName: string, mediaId: string]>(bytes(SHA256_BYTES), str, str),
  value: empty,
  why: 'The same content under another id is found by its digest; a digest is free again when its last row goes.',
});

const safe = defineTable({
  name: 'media-quarantine.protected',
  key: tuple<[mediaId: string]>(str),
  value: str,
  why: 'Few uploads are protected; each quarantine asks whether this one is. The value is who protected it.',
});

const changes = defineTable({
  name: 'media-quarantine.changes',
  key: tuple<[position: Position]>(u48),
  value: msgpack<ChangeRow>(),
  why: 'Other services follow the changes in their order, from the last one that they saw.',
});

export const quarantineProjection: Projection = {
  name: 'media-quarantine',
  version: 1,
  tables: [quarantined, byContent, safe, changes],
  apply(tx, record) {
    const change = readQuarantineRecord(record);
    if (change === undefined) return;
    if (change.kind === 'media.protection_changed') protect(tx, change);
    else quarantine(tx, record.position, change);
  },
};

function protect(
  tx: Writer,
  { mediaId, isProtected, by }: QuarantineChange & { kind: 'media.protection_changed' },
): void {
  if (isProtected) tx.put(safe, [mediaId], by);
  else tx.remove(safe, [mediaId]);
}

function quarantine(
  tx: Writer,
  position: Position,
  { serverName, mediaId, sha256, isQuarantined, by }: QuarantineChange & { kind: 'media.quarantine_changed' },
): void {
  tx.put(changes, [position], [serverName, mediaId, isQuarantined]);
  if (isQuarantined) {
    tx.put(quarantined, [serverName, mediaId], { by, sha256 });
    if (sha256 !== null) tx.put(byContent, [Buffer.from(sha256, 'hex'), serverName, mediaId], true);
    return;
  }
  // What is let out is let out as a content: else a copy elsewhere would keep it in.
  const digest = sha256 ?? tx.get(quarantined, [serverName, mediaId])?.sha256 ?? null;
  tx.remove(quarantined, [serverName, mediaId]);
  if (digest === null) return;
  for (const key of Array.from(tx.keys(byContent, { prefix: [Buffer.from(digest, 'hex')] }))) {
    tx.remove(byContent, key);
    tx.remove(quarantined, [key[1], key[2]]);
  }
}

/** A media as the quarantine knows it. */
export interface QuarantineSubject {
  readonly serverName: string;
  readonly mediaId: string;
  /** SHA-256 of the content, lower-case hex, where it is known. */
  readonly sha256?: string | undefined;
}

/** Who put a media into quarantine, or another one with the same content; undefined for one that may be seen. */
export function quarantinerOf(reader: Reader, { serverName, mediaId, sha256 }: QuarantineSubject): string | undefined {
  const own = reader.get(quarantined, [serverName, mediaId]);
  if (own !== undefined || sha256 === undefined) return own?.by;
  for (const [, server, id] of reader.keys(byContent, { prefix: [Buffer.from(sha256, 'hex')], limit: 1 })) {
    return reader.get(quarantined, [server, id])?.by;
  }
  return undefined;
}

/** Whether a media of this server is protected from quarantine. */
export function isProtectedMedia(reader: Reader, mediaId: string): boolean {
  return reader.get(safe, [mediaId]) !== undefined;
}

/** A change of the quarantine. */
export interface NumberedChange {
  readonly position: Position;
  readonly serverName: string;
  readonly mediaId: string;
  readonly isQuarantined: boolean;
}

/** The changes after a position, the oldest first. */
export function* quarantineChangesAfter(reader: Reader, after: Position, limit: number): Generator<NumberedChange> {
  for (const { key, value } of reader.range(changes, { gt: [after], limit })) {
    const [serverName, mediaId, isQuarantined] = value;
    yield { position: key[0], serverName, mediaId, isQuarantined };
  }
}
