/** The keys of this server: the one that it signs with, and those that it signed with before. */
import type { Reader } from '#projections/engine/reader.ts';
import { keyActivatedRecord, type SeenKey, SIGNING_KEY_STREAM } from '#projections/federation/key-records.ts';
import { ownKeyRows } from '#projections/federation/keys.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { type SigningKey, signJson } from '#protocol/signing.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { listKeys } from './key-answer.ts';

/** How long other servers may go on using what we say of our keys, in milliseconds: a day. */
export const ANSWER_LIFETIME_MS = 24 * 60 * 60 * 1000;

export interface OwnKeysOptions {
  readonly serverName: string;
  /** The key in use. */
  readonly signingKey: SigningKey;
  /** Makes a new key and puts it where the next start finds it, in place of the one before. */
  readonly replaceKey: (() => Promise<SigningKey>) | undefined;
  readonly reader: Reader;
  readonly commands: StreamCommands;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** What a rotation did. */
export interface Rotation {
  readonly keyId: string;
  readonly oldKeyId: string;
}

/**
 * Holds the key in use, and lets the log know of each key that was: {@link OwnKeys.signingKey} is what everything signs with,
 * and stays the same object when the key changes.
 */
export class OwnKeys {
  readonly #options: OwnKeysOptions;
  readonly signingKey: SigningKey;
  #current: SigningKey;
  /** Keys that were replaced in this run, in case the log cannot be written now. */
  readonly #replaced: SeenKey[] = [];
  #rotating: Promise<unknown> = Promise.resolve();

  constructor(options: OwnKeysOptions) {
    this.#options = options;
    this.#current = options.signingKey;
    const current = (): SigningKey => this.#current;
    this.signingKey = {
      get keyId() {
        return current().keyId;
      },
      get publicKey() {
        return current().publicKey;
      },
      sign: (bytes) => current().sign(bytes),
    };
  }

  /**
   * Writes the key in use to the log unless it is there: the first time, and after the key file was changed by hand. The key
   * that was in use until then is an old one from now on. Throws what the log throws.
   */
  async recordCurrent(): Promise<void> {
    const { commands, reader, newRecordId } = this.#options;
    await commands.run(SIGNING_KEY_STREAM, () => {
      const { keyId, publicKey } = this.#current;
      const isKnown = Array.from(ownKeyRows(reader)).some(([id, row]) => {
        return id === keyId && row.expiredTs === undefined && Buffer.compare(row.publicKey, publicKey) === 0;
      });
      const records = isKnown ? [] : [keyActivatedRecord(newRecordId(), { keyId, publicKey })];
      return { records, result: undefined };
    });
  }

  /**
   * Signs with a new key from now on. The old one is published as such, so what it signed stays valid; its secret half is gone.
   * Rejects if the key file cannot be written (then nothing changed), and with what the log throws (then the new key is in
   * use all the same, and the log hears of it at the next start).
   */
  rotate(): Promise<Rotation> {
    // One after the other: the key in the file has to be the one in use.
    const rotated = this.#rotating.then(() => this.#rotateNow());
    this.#rotating = rotated.catch(() => {});
    return rotated;
  }

  async #rotateNow(): Promise<Rotation> {
    const { replaceKey, clock } = this.#options;
    if (replaceKey === undefined) throw new Error('this server has no key file');
    await this.recordCurrent();
    const { keyId: oldKeyId, publicKey } = this.#current;
    const next = await replaceKey();
    // First nothing is signed with the old key any more, then it is said to have expired.
    this.#current = next;
    this.#replaced.push({ keyId: oldKeyId, publicKey, expiredTs: clock() });
    await this.recordCurrent();
    return { keyId: next.keyId, oldKeyId };
  }

  /** All keys, the one in use first, then the old ones by id. */
  list(): readonly SeenKey[] {
    const { keyId, publicKey } = this.#current;
    const old = new Map<string, SeenKey>();
    for (const key of this.#replaced) old.set(key.keyId, key);
    for (const [id, row] of ownKeyRows(this.#options.reader)) {
      if (row.expiredTs !== undefined) old.set(id, { keyId: id, publicKey: row.publicKey, expiredTs: row.expiredTs });
    }
    old.delete(keyId);
    return [{ keyId, publicKey, expiredTs: undefined }, ...old.values()];
  }

  /** What this server says of its keys, signed. */
  answer(): JsonObject {
    const { serverName, clock } = this.#options;
    const unsigned = {
      server_name: serverName,
      ...listKeys(this.list()),
      valid_until_ts: clock() + ANSWER_LIFETIME_MS,
    };
    return signJson(unsigned, serverName, this.signingKey);
  }
}
