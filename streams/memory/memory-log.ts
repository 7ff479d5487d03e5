/** A whole log in memory, for tests: the same sealing, hashing, bounds and subscriptions as on disk. */
import type { EventLog } from '../event-log.ts';
import { MemoryKeyStore } from '../keyring/memory-key-store.ts';
import type { PendingAppend } from '../pending-append.ts';
import type { RawLog } from '../raw-log.ts';
import { SealedLog, type SealedLogOptions } from '../sealed-log.ts';
import { MemoryDriver } from './memory-driver.ts';

/** A log in memory, and the ways in which a test may make it fail. */
export interface MemoryLog extends EventLog, RawLog {
  /** Turns down appends with `NotWritten` for this reason, as a full disk does, until called with undefined. */
  refuseWrites(reason: string | undefined): void;
  /** Lets the next commit fail with this error (`NotWritten` or `OutcomeUnknown`), and what is queued behind it too. */
  failNextCommit(error: Error): void;
}

class SealedMemoryLog extends SealedLog implements MemoryLog {
  readonly #driver: MemoryDriver<PendingAppend>;

  constructor(options: SealedLogOptions) {
    const keys = new MemoryKeyStore();
    const driver = new MemoryDriver<PendingAppend>(keys);
    super(driver, keys, options);
    this.#driver = driver;
  }

  refuseWrites(reason: string | undefined): void {
    this.#driver.refuseWrites(reason);
  }

  failNextCommit(error: Error): void {
    this.#driver.failNextCommit(error);
  }
}

/** An empty log in memory. */
export function openMemoryLog(options: SealedLogOptions = {}): MemoryLog {
  return new SealedMemoryLog(options);
}
