/** From stored records to opened ones and to raw ones: what every reader of a log shares. */
import { Damaged, type LogRecord, type Position } from './event-log.ts';
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
      if (key === undefined) key = await keyFor(keys, slot);
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

/** The key in a slot that is not in memory, `null` where it was destroyed. Throws {@link Damaged} where it is lost. */
export async function keyFor(keys: KeyStore, slot: number): Promise<Buffer | null> {
  await keys.load(slot);
  const key = keys.peek(slot);
  if (key === undefined) throw new Damaged(`the key in slot ${slot} of the keyring is lost. Run \`stele verify\`.`);
  return key;
}

function open(stored: StoredRecord, id: Uint8Array, index: number, key: Buffer): Buffer {
  const sealed = stored.sections[index];
  const plain = sealed && openSection(sealed, id, index, key);
  if (plain !== undefined) return plain;
  throw unopened(stored, index);
}

/** What to say of a section that does not open. */
export function unopened(stored: StoredRecord, index: number): Damaged {
  return new Damaged(
    `section ${index} of the record at position ${stored.position} does not open with the key in slot ` +
      `${stored.firstKeySlot + index} of the keyring: one of them is not what was written. Run \`stele verify\`.`,
  );
}

/** The stored form of a raw record. Throws RangeError for one that did not come from a log's own files. */
export function storedRecord({ position, header, sealedSections, firstKeySlot }: RawRecord): StoredRecord {
  if (firstKeySlot === undefined) throw new RangeError('not a record of this log: it has no key slot');
  return { position, header, sections: sealedSections, firstKeySlot };
}

/** The raw form of a stored record. */
export function rawRecord(stored: StoredRecord): RawRecord {
  return new StoredRawRecord(stored);
}

/** Hashes its leaf when that is first asked for: not everybody who reads stored records does. */
class StoredRawRecord implements RawRecord {
  readonly position: Position;
  readonly header: Buffer;
  readonly sealedSections: readonly Buffer[];
  readonly firstKeySlot: number;
  #leaf: Buffer | undefined;

  constructor(stored: StoredRecord) {
    this.position = stored.position;
    this.header = stored.header;
    this.sealedSections = stored.sections;
    this.firstKeySlot = stored.firstKeySlot;
  }

  get leaf(): Buffer {
    this.#leaf ??= leafHash(this.header, this.sealedSections);
    return this.#leaf;
  }
}
