/** Keys kept in memory only, for the in-memory log. */
import { Damaged } from '../event-log.ts';
import { KEY_BYTES, type KeyStore, type StagedKeys } from './key-store.ts';

export class MemoryKeyStore implements KeyStore {
  readonly #keys: (Buffer | null)[] = [];

  reserve(): Promise<void> {
    return Promise.resolve();
  }

  stage(keys: readonly Buffer[]): StagedKeys {
    const firstSlot = this.#keys.length;
    for (const block of keys) {
      for (let at = 0; at < block.length; at += KEY_BYTES)
        this.#keys.push(Buffer.from(block.subarray(at, at + KEY_BYTES)));
    }
    return { firstSlot, write: () => Promise.resolve() };
  }

  peek(slot: number): Buffer | null | undefined {
    return this.#keys[slot];
  }

  async load(slot: number): Promise<void> {
    if (this.#keys[slot] === undefined) throw new Damaged(`there is no key in slot ${slot}`);
  }

  async destroy(slot: number): Promise<void> {
    this.#keys[slot]?.fill(0xff);
    this.#keys[slot] = null;
  }

  async destroyAll(slots: readonly number[]): Promise<void> {
    for (const slot of slots) await this.destroy(slot);
  }

  async close(): Promise<void> {
    this.#keys.length = 0;
  }
}
