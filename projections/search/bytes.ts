/** Numbers and texts in few bytes. */

const INITIAL_BYTES = 1024;
/** Up to here a number fits in one byte. */
const CONTINUES = 0x80;

/** Writes one after the other into a buffer that grows. */
export class ByteWriter {
  #buffer: Buffer;
  #end = 0;

  constructor(initialBytes = INITIAL_BYTES) {
    this.#buffer = Buffer.allocUnsafe(initialBytes);
  }

  get length(): number {
    return this.#end;
  }

  /** Begins again at nothing. */
  clear(): void {
    this.#end = 0;
  }

  /** Writes what another one holds. */
  append(other: ByteWriter): void {
    this.#reserve(other.#end);
    other.#buffer.copy(this.#buffer, this.#end, 0, other.#end);
    this.#end += other.#end;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#end++] = value;
  }

  /** A whole number from 0 to 2^53 - 1: seven bits a byte, the low ones first. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    if (rest < CONTINUES) {
      this.#buffer[this.#end++] = rest;
      return;
    }
    while (rest >= CONTINUES) {
      this.#buffer[this.#end++] = (rest % CONTINUES) | CONTINUES;
      rest = Math.floor(rest / CONTINUES);
    }
    this.#buffer[this.#end++] = rest;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#end = this.#buffer.writeUInt32LE(value, this.#end);
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#end);
    this.#end += value.length;
  }

  /** Some of the bytes of a value, few. */
  part(value: Uint8Array, from: number, to: number): void {
    this.#reserve(to - from);
    for (let at = from; at < to; at += 1) this.#buffer[this.#end++] = value[at] as number;
  }

  /** A text with its length. */
  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#reserve(length);
    this.#end += this.#buffer.write(value, this.#end, 'utf8');
  }

  /** All that was written, as a copy. */
  taken(): Buffer {
    return Buffer.copyBytesFrom(this.#buffer, 0, this.#end);
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#end + bytes));
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }
}

/** Reads what a {@link ByteWriter} wrote. */
export class ByteReader {
  readonly #buffer: Buffer;
  at: number;

  constructor(buffer: Buffer, at = 0) {
    this.#buffer = buffer;
    this.at = at;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#buffer.length;
  }

  byte(): number {
    return this.#buffer[this.at++] as number;
  }

  varint(): number {
    let byte = this.#buffer[this.at++] as number;
    if (byte < CONTINUES) return byte;
    let value = byte - CONTINUES;
    let scale = CONTINUES;
    do {
      byte = this.#buffer[this.at++] as number;
      value += (byte % CONTINUES) * scale;
      scale *= CONTINUES;
    } while (byte >= CONTINUES);
    return value;
  }

  /** A copy. */
  bytes(length: number): Uint8Array {
    this.at += length;
    return Uint8Array.from(this.#buffer.subarray(this.at - length, this.at));
  }

  text(): string {
    const length = this.varint();
    this.at += length;
    return this.#buffer.toString('utf8', this.at - length, this.at);
  }
}
