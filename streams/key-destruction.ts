/** Destroying the keys of sections: listed first, then overwritten. */
import { BEFORE_FIRST, NotWritten, type Position, type SectionRef } from './event-log.ts';
import type { ErasedList, ErasedSection } from './keyring/erased-list.ts';
import type { KeyStore } from './keyring/key-store.ts';
import type { LogDriver, SealedAppend, StoredRecord } from './log-driver.ts';
import { idOfHeader } from './record-format.ts';

/** Keys that are destroyed together: so many records are looked up before the disk is waited for. */
const DESTROY_BATCH = 1024;
/** From so many records on it is looked whether they lie side by side, */
const DENSE_FROM = 16;
/** and how many others may lie between them. */
const DENSE_STRETCH = 8;
const MS_PER_S = 1000;

/** What came of destroying again what a list says was destroyed. */
export interface ReappliedErasures {
  /** Keys that were there, and are not any more. */
  readonly destroyed: number;
  /** Keys that were gone. */
  readonly alreadyGone: number;
  /** Entries about records that this log does not have. */
  readonly unknown: number;
}

/** Where the records are whose keys are destroyed. */
type Records = Pick<LogDriver<SealedAppend>, 'head' | 'readAt' | 'readAll'>;

export interface KeyDestructionOptions {
  readonly records: Records;
  readonly keys: KeyStore;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Where destroyed keys are listed, before they are destroyed. */
  readonly erasedList: ErasedList | undefined;
}

export class KeyDestruction {
  readonly #records: Records;
  readonly #keys: KeyStore;
  readonly #now: () => number;
  readonly #erasedList: ErasedList | undefined;
  #isClosed = false;

  constructor({ records, keys, now, erasedList }: KeyDestructionOptions) {
    this.#records = records;
    this.#keys = keys;
    this.#now = now;
    this.#erasedList = erasedList;
  }

  /**
   * Destroys the keys of sections; durable when resolved. Throws RangeError for a section that there is not, {@link NotWritten} once
   * it is closed.
   */
  async destroy(sections: readonly SectionRef[]): Promise<void> {
    for (let at = 0; at < sections.length; at += DESTROY_BATCH) {
      await this.#destroyBatch(sections.slice(at, at + DESTROY_BATCH));
    }
  }

  /**
   * Destroys again what a list says was destroyed: what a restored backup brought back. Entries about other records than
   * those of this log are passed over.
   */
  async reapply(erased: readonly ErasedSection[]): Promise<ReappliedErasures> {
    let destroyed = 0;
    let alreadyGone = 0;
    let unknown = 0;
    for (let at = 0; at < erased.length; at += DESTROY_BATCH) {
      const due: SectionRef[] = [];
      for (const { position, section, recordId } of erased.slice(at, at + DESTROY_BATCH)) {
        const stored = position <= this.#records.head() ? await this.#records.readAt(position) : undefined;
        if (stored === undefined || section >= stored.sections.length || !idOfHeader(stored.header).equals(recordId)) {
          unknown++;
        } else if (await this.#isDestroyed(stored.firstKeySlot + section)) alreadyGone++;
        else due.push({ position, section });
      }
      await this.#destroyBatch(due);
      destroyed += due.length;
    }
    return { destroyed, alreadyGone, unknown };
  }

  /** Destroys nothing any more, not even the rest of what is under way. */
  close(): void {
    this.#isClosed = true;
  }

  async #destroyBatch(sections: readonly SectionRef[]): Promise<void> {
    if (this.#isClosed) throw new NotWritten('the log is closed');
    const slots: number[] = [];
    const entries: ErasedSection[] = [];
    const destroyedAtS = Math.floor(this.#now() / MS_PER_S);
    const found = await this.#lookUp(sections);
    for (const { position, section } of sections) {
      const stored = found.get(position);
      if (stored === undefined) throw new RangeError(`there is no record at position ${position}`);
      if (!Number.isInteger(section) || section < 0 || section >= stored.sections.length) {
        throw new RangeError(`the record at position ${position} has no section ${section}`);
      }
      const slot = stored.firstKeySlot + section;
      slots.push(slot);
      if (await this.#isDestroyed(slot)) continue;
      entries.push({ position, section, recordId: Buffer.from(idOfHeader(stored.header)), destroyedAtS });
    }
    if (slots.length === 0) return;
    // Listed first: a key that is listed and still there is destroyed at the next start, one that is gone and not listed
    // would come back with a backup.
    await this.#erasedList?.add(entries);
    await this.#keys.destroyAll(slots);
  }

  /** The records of some sections: read one by one, or all of a stretch of the log where most of it is asked for. */
  async #lookUp(sections: readonly SectionRef[]): Promise<Map<Position, StoredRecord>> {
    const wanted = new Set(sections.map(({ position }) => position));
    const found = new Map<Position, StoredRecord>();
    let first = Number.POSITIVE_INFINITY;
    let last = BEFORE_FIRST;
    for (const position of wanted) {
      if (position < first) first = position;
      if (position > last) last = position;
    }
    if (wanted.size < DENSE_FROM || last - first > DENSE_STRETCH * wanted.size) {
      for (const position of wanted) {
        const stored = await this.#records.readAt(position);
        if (stored !== undefined) found.set(position, stored);
      }
      return found;
    }
    for await (const batch of this.#records.readAll(first - 1)) {
      for (const stored of batch) if (wanted.has(stored.position)) found.set(stored.position, stored);
      if ((batch.at(-1)?.position ?? last) >= last) break;
    }
    return found;
  }

  async #isDestroyed(slot: number): Promise<boolean> {
    let key = this.#keys.peek(slot);
    if (key === undefined) {
      await this.#keys.load(slot);
      key = this.#keys.peek(slot);
    }
    return key === null;
  }
}
