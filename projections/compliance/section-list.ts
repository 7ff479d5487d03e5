/**
 * Sections of records as a few bytes: positions ascending, each as the difference to the one before in LEB128, then one byte
 * whose bits say which sections.
 */
import type { Position, SectionRef } from '#streams/event-log.ts';

const MORE = 0x80;
const LOW_BITS = 0x7f;
const BASE = 128;

/** Sections of one record. */
export interface RecordSections {
  readonly position: Position;
  readonly sections: readonly number[];
}

/** The bytes of a list. Sections of one record may be named in several entries. */
export function packSections(list: readonly RecordSections[]): Uint8Array {
  const masks = new Map<Position, number>();
  for (const { position, sections } of list) {
    let mask = masks.get(position) ?? 0;
    for (const section of sections) mask |= 1 << section;
    masks.set(position, mask);
  }
  const bytes: number[] = [];
  let before = 0;
  for (const [position, mask] of [...masks].sort(([a], [b]) => a - b)) {
    for (let rest = position - before; ; rest = Math.floor(rest / BASE)) {
      const low = rest % BASE;
      if (rest < BASE) {
        bytes.push(low);
        break;
      }
      bytes.push(low | MORE);
    }
    bytes.push(mask);
    before = position;
  }
  return Uint8Array.from(bytes);
}

/** The list in bytes; what is cut off at the end is left out. */
export function* unpackSections(bytes: Uint8Array): Generator<SectionRef> {
  let position = 0;
  for (let at = 0; at < bytes.length; ) {
    let factor = 1;
    let byte: number | undefined;
    do {
      byte = bytes[at++] ?? 0;
      position += (byte & LOW_BITS) * factor;
      factor *= BASE;
    } while ((byte & MORE) !== 0);
    const mask = bytes[at++] ?? 0;
    for (let section = 0; section < 8; section++) if ((mask & (1 << section)) !== 0) yield { position, section };
  }
}
