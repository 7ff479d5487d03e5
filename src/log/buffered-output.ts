import { write, writeSync } from 'node:fs';

/** Text is written when this much has gathered, */
const WRITE_AT_CHARACTERS = 32 * 1024;
/** or when the first of it has waited this long. */
const LONGEST_WAIT_MS = 100;
/** What is held back when nobody takes it (a full pipe); beyond it, lines are dropped and counted. */
export const MAX_HELD_CHARACTERS = 8 * 1024 * 1024;
/** How long to wait when the other end takes nothing at present. */
const RETRY_MS = 50;

/**
 * Writes lines to a file descriptor in batches, never blocking: the log must not slow down what it tells of.
 * A reader that went away (a closed pipe) ends it quietly.
 */
export class BufferedOutput {
  readonly #fd: number;
  #held = '';
  #inFlight: Buffer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #droppedLines = 0;
  #isGone = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Takes one line, with its line end. */
  write(line: string): void {
    if (this.#isGone) return;
    if (this.#held.length + line.length > MAX_HELD_CHARACTERS) {
      this.#droppedLines += 1;
      return;
    }
    this.#held += line;
    if (this.#held.length >= WRITE_AT_CHARACTERS) this.#writeSome();
    else this.#timer ??= setTimeout(() => this.#writeSome(), LONGEST_WAIT_MS).unref();
  }

  /** Writes everything before it returns, as far as the other end takes it. For the end of the process. */
  flushSync(): void {
    let rest = this.#take();
    // A write that is under way may be written twice in part; nothing is lost.
    if (this.#inFlight !== undefined) rest = Buffer.concat([this.#inFlight, rest]);
    this.#inFlight = undefined;
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(this.#fd, rest));
    } catch {
      // A full or closed pipe at the end of the process: there is nobody left to read.
    }
  }

  #take(): Buffer {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let text = this.#held;
    this.#held = '';
    if (this.#droppedLines > 0) {
      text += `{"level":"warn","msg":"${this.#droppedLines} log lines were dropped: nobody reads the log"}\n`;
      this.#droppedLines = 0;
    }
    return Buffer.from(text, 'utf8');
  }

  #writeSome(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#inFlight !== undefined || this.#held === '') return;
    this.#writeOn(this.#take());
  }

  #writeOn(bytes: Buffer): void {
    this.#inFlight = bytes;
    write(this.#fd, bytes, (error, writtenBytes) => {
      // Flushed meanwhile.
      if (this.#inFlight !== bytes) return;
      if (error !== null && error.code === 'EAGAIN') {
        setTimeout(() => {
          if (this.#inFlight === bytes) this.#writeOn(bytes);
        }, RETRY_MS).unref();
        return;
      }
      if (error !== null) {
        this.#isGone = true;
        this.#held = '';
        this.#inFlight = undefined;
        return;
      }
      if (writtenBytes < bytes.length) {
        this.#writeOn(bytes.subarray(writtenBytes));
        return;
      }
      this.#inFlight = undefined;
      if (this.#held !== '') this.#timer ??= setTimeout(() => this.#writeSome(), LONGEST_WAIT_MS).unref();
    });
  }
}
