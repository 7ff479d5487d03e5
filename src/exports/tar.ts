/**
 * Archives of folders in the form that `tar` reads: POSIX.1-2001 (pax), without anything that depends on when or by whom it is made. The
 * same files give the same bytes.
 */
import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';

const BLOCK_BYTES = 512;
/** The largest size that a header of eleven octal digits can say; beyond it a pax record does. */
const MAX_OCTAL = 8 ** 11 - 1;
const NAME_BYTES = 100;

/** A file of an archive. */
export interface TarEntry {
  /** In the archive, with slashes. */
  readonly name: string;
  /** On the disk. */
  readonly path: string;
  readonly sizeBytes: number;
}

/** The regular files below a folder, by name; in the archive they are below `top`. */
export async function tarEntries(folder: string, top: string): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  for (const found of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!found.isFile()) continue;
    const file = path.join(found.parentPath, found.name);
    const { size } = await lstat(file);
    const name = path.posix.join(top, ...path.relative(folder, file).split(path.sep));
    entries.push({ name, path: file, sizeBytes: size });
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Bytes of the archive of some files. */
export function tarSize(entries: readonly TarEntry[]): number {
  const files = entries.map((entry) => Buffer.concat(headersOf(entry)).length + padded(entry.sizeBytes));
  return files.reduce((sum, size) => sum + size, 2 * BLOCK_BYTES);
}

/** The archive, piece by piece. @throws {Error} where a file is not of the size any more that its entry says */
export async function* tarPieces(entries: readonly TarEntry[]): AsyncGenerator<Uint8Array> {
  for (const entry of entries) {
    yield* headersOf(entry);
    let sizeBytes = 0;
    for await (const chunk of createReadStream(entry.path)) {
      sizeBytes += (chunk as Buffer).length;
      yield chunk as Buffer;
    }
    if (sizeBytes !== entry.sizeBytes) throw new Error(`${entry.path} changed while it was read`);
    yield Buffer.alloc(padded(sizeBytes) - sizeBytes);
  }
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

function headersOf({ name, sizeBytes }: TarEntry): Buffer[] {
  const isPlain = Buffer.byteLength(name) === name.length && name.length <= NAME_BYTES;
  const records = [
    ...(isPlain ? [] : [paxRecord('path', name)]),
    ...(sizeBytes > MAX_OCTAL ? [paxRecord('size', String(sizeBytes))] : []),
  ];
  const own = header({ name: isPlain ? name : 'file', sizeBytes: Math.min(sizeBytes, MAX_OCTAL), type: '0' });
  if (records.length === 0) return [own];
  const extension = Buffer.concat(records);
  const filled = Buffer.concat([extension, Buffer.alloc(padded(extension.length) - extension.length)]);
  return [header({ name: 'pax', sizeBytes: extension.length, type: 'x' }), filled, own];
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`, 'utf8');
}

function header({
  name,
  sizeBytes,
  type,
}: {
  readonly name: string;
  readonly sizeBytes: number;
  readonly type: '0' | 'x';
}): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name, 0, NAME_BYTES, 'latin1');
  block.write('0000600\0', 100, 'latin1');
  block.write('0000000\0', 108, 'latin1');
  block.write('0000000\0', 116, 'latin1');
  block.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  block.write('00000000000\0', 136, 'latin1');
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}
