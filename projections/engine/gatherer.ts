/** Gathers records that were there before into large batches: a page that many of them change is then written once. */
import type { LogRecord } from '#streams/event-log.ts';

/** Records of one commit while catching up. */
const MAX_RECORDS = 4_096;
/** Bytes of their sections: what is held in memory meanwhile. */
const MAX_BYTES = 16 * 1024 * 1024;

export class Gatherer {
  #records: LogRecord[] = [];
  #bytes = 0;

  /** Whether there is enough for a commit. */
  get isFull(): boolean {
    return this.#records.length >= MAX_RECORDS || this.#bytes >= MAX_BYTES;
  }

  add(records: readonly LogRecord[]): void {
    for (const record of records) {
      this.#records.push(record);
      for (const section of record.sections) this.#bytes += section?.length ?? 0;
    }
  }

  /** What was gathered; nothing is left. */
  take(): readonly LogRecord[] {
    const records = this.#records;
    this.#records = [];
    this.#bytes = 0;
    return records;
  }
}
