/** Whether stored sections open with their keys, for verification: nothing of what they say is kept. */
import { Damaged, type Position, type SectionRef } from './event-log.ts';
import type { KeyStore } from './keyring/key-store.ts';
import type { RawRecord } from './raw-log.ts';
import { sectionOpens } from './sealing.ts';

/** A section that does not open, or whose key is lost. */
export interface UnopenedSection {
  readonly position: Position;
  /** Names the section and the slot of its key. */
  readonly message: string;
}

/** What came of trying to open the sections of some records. */
export interface SectionCheck {
  /** Sections whose keys were destroyed. */
  readonly destroyed: readonly SectionRef[];
  readonly unopened: readonly UnopenedSection[];
}

/** The record's id stands in front of the last byte of its header; see record-format.ts. */
const ID_FROM_END = 17;
/** Valid until the next record's is asked for: a view for each record would cost more than copying its id. */
const lastId = Buffer.alloc(ID_FROM_END - 1);

function idOf(header: Buffer): Buffer {
  header.copy(lastId, 0, header.length - ID_FROM_END, header.length - 1);
  return lastId;
}

/** Tries every section of the records. */
export async function checkSections(records: readonly RawRecord[], keys: KeyStore): Promise<SectionCheck> {
  const destroyed: SectionRef[] = [];
  const unopened: UnopenedSection[] = [];
  for (const { position, header, sealedSections, firstKeySlot } of records) {
    if (firstKeySlot === undefined) throw new RangeError('not a record of this log: it has no key slot');
    let slot = firstKeySlot;
    for (const sealed of sealedSections) {
      let key = keys.peek(slot);
      // Waiting only where the key is not in memory: a promise for each section would cost as much as opening it.
      if (key === undefined) key = await loadKey(keys, slot, position, unopened);
      if (key === null) destroyed.push({ position, section: slot - firstKeySlot });
      else if (key && !sectionOpens(sealed, idOf(header), slot - firstKeySlot, key)) {
        const message = `section ${slot - firstKeySlot} of record ${position} does not open with the key in slot ${slot}`;
        unopened.push({ position, message: `${message}: the record or the keyring is not what was written` });
      }
      slot++;
    }
  }
  return { destroyed, unopened };
}

async function loadKey(
  keys: KeyStore,
  slot: number,
  position: Position,
  unopened: UnopenedSection[],
): Promise<Buffer | null | undefined> {
  try {
    await keys.load(slot);
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    unopened.push({ position, message: `record ${position}: ${error.message}` });
    return undefined;
  }
  return keys.peek(slot);
}
