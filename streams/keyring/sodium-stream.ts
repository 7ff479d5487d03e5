/** The seekable stream cipher of libsodium, which the package's types leave out. */
import sodium from 'sodium-native';

interface StreamCipher {
  /** Writes `message` xor the key stream from 64-byte block `firstBlock` on; `into` may be `message`. */
  crypto_stream_xchacha20_xor_ic(into: Buffer, message: Buffer, nonce: Buffer, firstBlock: number, key: Buffer): void;
}

const cipher: StreamCipher = sodium as typeof sodium & StreamCipher;

/** Bytes of a block of the key stream. */
export const STREAM_BLOCK_BYTES = 64;
export const STREAM_NONCE_BYTES = 24;

/** Encrypts or decrypts in place, as if `bytes` began at block `firstBlock` of one long message. */
export function xorStream(bytes: Buffer, nonce: Buffer, firstBlock: number, key: Buffer): void {
  cipher.crypto_stream_xchacha20_xor_ic(bytes, bytes, nonce, firstBlock, key);
}
