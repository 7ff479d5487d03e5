/** From stored records to opened ones and to raw ones: what every reader of a log shares. */
import { Damaged, type LogRecord } from './event-log.ts';
import type { KeyStore } from './keyring/key-store.ts';
import type { StoredRecord } from './log-driver.ts';
import type { RawRecord } from './raw-log.ts';
import { decodeHeader, leafHash } from './record-format.ts';
import { openSection } from './sealing.ts';

/** Opens the sections of stored records; `null` where the key was destroyed. Throws {@link Damaged} if one does not open. */
export async function openRecords(stored: readonly StoredRecord[], keys: KeyStore): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (const one of stored) {
    const header = decodeHeader(one.header);
    const sections: (Buffer | null)[] = [];
    for (let index = 0; index < one.sections.length; index++) {
      const slot = one.firstKeySlot + index;
      let key = keys.peek(slot);
      // Waiting only where the key is not in memory keeps replay free of a promise for each section.
      if (key === undefined) {
        await keys.load(slot);
        key = keys.peek(slot);
      }
      sections.push(key === null ? null : open(one, header.id, index, key));
    }
    records.push({
      position: one.position,
      stream: header.stream,
      revision: header.revision,
      kind: header.kind,
      version: header.version,
      recordedAtMs: header.recordedAtMs,
      // A copy: a view would keep all that was read with it in memory.
      id: Buffer.from(header.id),
      sections,
    });
  }
  return records;
}

function open(stored: StoredRecord, id: Uint8Array, index: number, key: Buffer | undefined): Buffer {
  const sealed = stored.sections[index];
  const plain = sealed && key && openSection(sealed, id, index, key);
  if (plain !== undefined) return plain;
  throw new Damaged(
    `section ${index} of the record at position ${stored.position} does not open with the key in slot ` +
      `${stored.firstKeySlot + index} of the keyring: one of them is not what was written. Run \`stele verify\`.`,
  );
}

/** The raw form of a stored record, with its leaf hash. */
export function rawRecord(stored: StoredRecord): RawRecord {
  return {
    position: stored.position,
    header: stored.header,
    sealedSections: stored.sections,
    leaf: leafHash(stored.header, stored.sections),
    firstKeySlot: stored.firstKeySlot,
  };
}
