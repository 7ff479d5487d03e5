/** What a checked proof has shown, in words and as data. */
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Proven } from '#streams/transparency/proof.ts';
import { ProofRejected } from '#streams/transparency/proof.ts';
import { checkPdu } from '../verify/pdu-check.ts';

/** A proven thing as it is printed with `--json`. */
export type ProvenData = Readonly<Record<string, unknown>>;

/**
 * The data of a proof. Of an opened PDU it is also checked that it is the event that its id names, which is what ties an
 * opened section to something that nobody could choose; `isIdHash` says whether it does, since the servers of room versions
 * 1 and 2 choose the ids of their events. Throws {@link ProofRejected} where it is not.
 */
export function provenData(proven: Proven, isKeyTrusted: boolean): ProvenData {
  const key = { logKey: proven.logKey, isKeyTrusted };
  if (proven.kind === 'consistency') {
    const { older, newer } = proven;
    return { ok: true, kind: proven.kind, origin: newer.origin, olderSize: older.size, newerSize: newer.size, ...key };
  }
  const { header, checkpoint, leafIndex, sections } = proven;
  return {
    ok: true,
    kind: proven.kind,
    origin: checkpoint.origin,
    size: checkpoint.size,
    leafIndex,
    stream: header.stream,
    revision: header.revision,
    recordKind: header.kind,
    recordedAt: new Date(header.recordedAtMs).toISOString(),
    openedSections: sections.flatMap((section, index) => (section === undefined ? [] : [index])),
    ...openedEvent(proven),
    ...key,
  };
}

/** The event in a PDU record whose skeleton is open; with its content where that is open too. */
function openedEvent({ header, sections, leafIndex }: Extract<Proven, { kind: 'inclusion' }>): ProvenData {
  const [skeleton, content] = sections;
  if (header.kind !== PDU_KIND || skeleton === undefined) return {};
  let complaint: string | undefined;
  try {
    const read = readPduRecord({ ...header, position: leafIndex, sections: [skeleton, content ?? null] });
    complaint = read && checkPdu(read);
    if (read !== undefined && complaint === undefined) {
      return {
        eventId: read.meta.eventId,
        isIdHash: roomVersionRules(read.meta.roomVersion)?.eventIdFormat !== 'opaque_with_domain',
        roomId: read.meta.roomId,
        disposition: read.meta.disposition,
        event: read.pdu,
      };
    }
  } catch (error) {
    complaint = (error as Error).message;
  }
  throw new ProofRejected('content', `the opened record is not the event that it names: ${complaint}`);
}

/** The same in lines for people. */
export function provenLines(data: ProvenData): string[] {
  const key = data.isKeyTrusted
    ? `signed with the trusted key ${data.logKey}`
    : `signed with the key in the document, ${data.logKey}: compare it with one that you got elsewhere (--key)`;
  if (data.kind === 'consistency') {
    return [
      `Proven: the log ${data.origin} of ${data.newerSize} records continues that of ${data.olderSize} records unchanged.`,
      key,
    ];
  }
  const opened = data.openedSections as readonly number[];
  return [
    `Proven: record ${data.leafIndex} of the log ${data.origin}, of ${data.size} records.`,
    `stream ${data.stream}, revision ${data.revision}, kind ${data.recordKind}, recorded at ${data.recordedAt} by that server's clock`,
    ...(data.eventId === undefined ? [] : [`event ${data.eventId} in room ${data.roomId}, ${data.disposition}`]),
    ...(data.isIdHash === false
      ? [
          "In this room's version servers choose the ids of events: what vouches for the event is its signatures, not its id.",
        ]
      : []),
    ...(data.event === undefined ? [] : [JSON.stringify(data.event)]),
    opened.length === 0
      ? 'The proof does not show what the record says.'
      : `Opened: ${opened.map((i) => `section ${i}`).join(', ')}.`,
    key,
  ];
}
