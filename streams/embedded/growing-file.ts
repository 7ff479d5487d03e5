/**
 * A file that grows in steps of zeros ahead of what is written: a synced write inside it need not change its size, and a
 * full disk is noticed before anything is written.
 */
import type { OpenFile } from './files.ts';

/** Zeros written at once. */
const ZEROS = Buffer.alloc(128 * 1024);

export class GrowingFile {
  readonly file: OpenFile;
  readonly #stepBytes: number;
  #allocated: number;
  #growing: Promise<void> | undefined;

  /** `allocated`: the size of the file, all zeros behind what was written. */
  constructor(file: OpenFile, allocated: number, stepBytes: number) {
    this.file = file;
    this.#allocated = allocated;
    this.#stepBytes = stepBytes;
  }

  /** Whether bytes up to `end` are there. */
  hasRoom(end: number): boolean {
    return end <= this.#allocated;
  }

  /** Makes sure that bytes up to `end` are there; throws what the file system says, with nothing written before. */
  async reserve(end: number): Promise<void> {
    while (end > this.#allocated) {
      if (this.#growing) {
        await this.settled();
        continue;
      }
      try {
        await this.#begin(Math.max(end, this.#allocated + this.#stepBytes));
      } catch (error) {
        // Part of a step may be enough: on a disk that is nearly full the rest of it is used before writing stops.
        if (end > this.#allocated) throw error;
      }
    }
  }

  /** Grows beside what else goes on when less than half a step is left, up to `limit`. A failure is met again by `reserve`. */
  growAhead(end: number, limit: number): void {
    if (this.#growing !== undefined || this.#allocated - end > this.#stepBytes / 2 || this.#allocated >= limit) return;
    this.#begin(Math.min(limit, this.#allocated + this.#stepBytes)).catch(() => undefined);
  }

  /** Waits for growing that is under way, whatever comes of it. */
  async settled(): Promise<void> {
    await this.#growing?.catch(() => undefined);
  }

  /** Cuts the file; what comes next is zeros again. Durable when resolved. */
  async cut(end: number): Promise<void> {
    await this.settled();
    await this.file.truncate(end);
    this.#allocated = end;
    await this.file.datasync();
  }

  /** One growing at a time: zeros of a second one would fall on what was written after the first. */
  #begin(target: number): Promise<void> {
    const growing = this.#grow(target).finally(() => {
      this.#growing = undefined;
    });
    this.#growing = growing;
    return growing;
  }

  async #grow(target: number): Promise<void> {
    while (this.#allocated < target) {
      const zeros = ZEROS.subarray(0, Math.min(ZEROS.length, target - this.#allocated));
      await this.file.write(zeros, this.#allocated);
      this.#allocated += zeros.length;
    }
  }
}
