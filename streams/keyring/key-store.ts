/** Where the keys of sealed sections are kept: in numbered slots, each written once and destroyed at most once. */

/** Bytes of a key and of its slot. */
export const KEY_BYTES = 32;

/** Keys of one batch that have slots but are not yet durable. */
export interface StagedKeys {
  /** Slot of the batch's first key; the others follow without a gap. */
  readonly firstSlot: number;
  /** Makes them durable. May run beside the write of the records. */
  write(): Promise<void>;
}

export interface KeyStore {
  /** Makes room for so many keys and throws what the disk says if there is none; nothing is written before. */
  reserve(count: number): Promise<void>;
  /**
   * Gives slots to the keys of a batch whose first record will be at `firstPosition`. Slots are never given twice, even
   * if the batch fails.
   */
  stage(keys: readonly Buffer[], firstPosition: number): StagedKeys;
  /**
   * The key in a slot, null if it was destroyed, undefined if it is not in memory: then `load` brings it. The bytes are
   * valid until the next call of `load`.
   */
  peek(slot: number): Buffer | null | undefined;
  /** Brings a slot (and those around it) into memory. Throws `Damaged` if the slot was never written. */
  load(slot: number): Promise<void>;
  /** Overwrites a key, for ever. Durable when resolved. */
  destroy(slot: number): Promise<void>;
  /** The same for many. */
  destroyAll(slots: readonly number[]): Promise<void>;
  close(): Promise<void>;
}
