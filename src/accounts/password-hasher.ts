/**
 * Passwords are kept as argon2id (RFC 9106) strings, which carry their own salt and cost. Hashing runs on libuv's threads,
 * a few at a time, because the log's disk writes run on the same threads.
 */
import sodium from 'sodium-native';
import { limitExceeded } from '#src/http/errors.ts';

/** Passes over the memory, and how much of it: the OWASP recommendation for argon2id (t = 2, m = 19 MiB, p = 1). */
const OPS_LIMIT = 2;
const MEMORY_LIMIT_BYTES = 19 * 1024 * 1024;

/** Hashes that run at once. libuv has four threads, and the disk needs two of them. */
export const MAX_CONCURRENT_HASHES = 2;
/** Hashes that may wait their turn: about four seconds of work. Beyond it the client is told to come back. */
export const MAX_WAITING_HASHES = 256;
/** When a client that was turned away should try again. */
const RETRY_AFTER_MS = 5_000;

/** What is hashed where there is nothing to compare. The binding takes no empty input. */
const DECOY_PASSWORD = 'decoy';

/** What {@link PasswordHasher} costs, for tests that hash much. */
export interface PasswordHasherOptions {
  readonly opsLimit?: number;
  readonly memoryLimitBytes?: number;
  readonly maxConcurrent?: number;
  readonly maxWaiting?: number;
}

export class PasswordHasher {
  readonly #opsLimit: number;
  readonly #memoryLimitBytes: number;
  readonly #maxConcurrent: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  /** A hash that no password was made for: verifying against it costs what a real one costs. */
  #decoy: Promise<string> | undefined;

  constructor(options: PasswordHasherOptions = {}) {
    this.#opsLimit = options.opsLimit ?? OPS_LIMIT;
    this.#memoryLimitBytes = options.memoryLimitBytes ?? MEMORY_LIMIT_BYTES;
    this.#maxConcurrent = options.maxConcurrent ?? MAX_CONCURRENT_HASHES;
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING_HASHES;
  }

  /** The argon2id string of a password, which must not be empty. Throws `M_LIMIT_EXCEEDED` when too many wait. */
  async hash(password: string): Promise<string> {
    if (password === '') throw new RangeError('an empty password has no hash');
    return this.#withTurn(
      () =>
        new Promise((resolve, reject) => {
          const output = Buffer.alloc(sodium.crypto_pwhash_STRBYTES);
          const input = bytesOf(password);
          sodium.crypto_pwhash_str_async(output, input, this.#opsLimit, this.#memoryLimitBytes, (error) => {
            input.fill(0);
            if (error) reject(new Error('argon2id could not get the memory it needs'));
            else resolve(output.toString('latin1', 0, output.indexOf(0)));
          });
        }),
    );
  }

  /**
   * Whether the password is the one of the hash. Without a hash (no such user, or one without a password), and for an empty password, the answer is no,
   * after the same work, so that the time taken does not tell which it was. Throws `M_LIMIT_EXCEEDED` when too many wait.
   */
  async verify(hash: string | null | undefined, password: string): Promise<boolean> {
    const isReal = typeof hash === 'string' && password !== '';
    const against = isReal ? hash : await this.#decoyHash();
    const matches = await this.#withTurn(() => verifyHash(against, isReal ? password : DECOY_PASSWORD));
    return isReal && matches;
  }

  async #decoyHash(): Promise<string> {
    const random = Buffer.allocUnsafe(32);
    sodium.randombytes_buf(random);
    this.#decoy ??= this.hash(random.toString('base64'));
    try {
      return await this.#decoy;
    } catch (error) {
      this.#decoy = undefined;
      throw error;
    }
  }

  /** Makes what the first failing login would otherwise have to make, so that even the first tells nothing by its time. */
  async warmUp(): Promise<void> {
    await this.#decoyHash();
  }

  async #withTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#maxConcurrent) {
      if (this.#waiting.length >= this.#maxWaiting) throw limitExceeded(RETRY_AFTER_MS);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running += 1;
    }
    try {
      return await work();
    } finally {
      // The turn goes to the next in line without being given back first.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

/** Keyboards differ in how they make an é; the password is the same (NIST SP 800-63B). */
function bytesOf(password: string): Buffer {
  return Buffer.from(password.normalize('NFKC'), 'utf8');
}

function verifyHash(hash: string, password: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stored = Buffer.alloc(sodium.crypto_pwhash_STRBYTES);
    stored.write(hash, 'latin1');
    const input = bytesOf(password);
    sodium.crypto_pwhash_str_verify_async(stored, input, (error, matches) => {
      input.fill(0);
      if (error) reject(error);
      else resolve(matches);
    });
  });
}
