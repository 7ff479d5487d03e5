/** What people were called when they wrote. */

import type { Reader } from '#projections/engine/reader.ts';
import { stateBefore } from '#projections/rooms/event-row.ts';
import { hasPlace, knownEventAt } from '#projections/rooms/known-events.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { stateEventAt } from '#projections/rooms/state/index.ts';
import type { Pdu } from '#protocol/pdu.ts';
import { Lru } from '#src/sync/lru.ts';
import type { Position } from '#streams/event-log.ts';
import type { ReadOnlyLog } from '#streams/raw-log.ts';

const MEMBER = 'm.room.member';
/** Member events whose names are remembered. */
const MAX_REMEMBERED = 20_000;

/** Reads display names from the member events in force before an event, as they are in the log: before any redaction. */
export class SenderNames {
  readonly #reader: Reader;
  readonly #log: Pick<ReadOnlyLog, 'readAt'>;
  readonly #names = new Lru<Position, string | null>(MAX_REMEMBERED);

  constructor(reader: Reader, log: Pick<ReadOnlyLog, 'readAt'>) {
    this.#reader = reader;
    this.#log = log;
  }

  /** The sender's display name when an event was sent; null where there was none, or the event has no place in its room. */
  async of(position: Position, pdu: Pdu): Promise<string | null> {
    if (pdu.type === MEMBER && pdu.state_key === pdu.sender) return displayNameIn(pdu);
    const known = knownEventAt(this.#reader, position);
    if (known === undefined || !hasPlace(known)) return null;
    const { row } = known;
    const member = stateEventAt(this.#reader, row.room, stateBefore(row), MEMBER, row.sender);
    return member === undefined ? null : this.#nameIn(member);
  }

  async #nameIn(member: Position): Promise<string | null> {
    const remembered = this.#names.get(member);
    if (remembered !== undefined) return remembered;
    const record = await this.#log.readAt(member);
    const read = record?.kind === PDU_KIND ? readPduRecord(record) : undefined;
    const name = read === undefined ? null : displayNameIn(read.pdu);
    this.#names.set(member, name);
    return name;
  }
}

/** The display name that a member event gives; null for none. */
export function displayNameIn(pdu: Pdu): string | null {
  const { displayname } = pdu.content;
  return typeof displayname === 'string' && displayname !== '' ? displayname : null;
}
