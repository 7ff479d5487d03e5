/** Files of an export: whole and on the disk, or not there. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline';

/** A file of an export, as its manifest lists it. */
export interface ListedFile {
  /** From the top of the export, with slashes. */
  readonly path: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

const NEW_SUFFIX = '.new';

/** Writes a file, and its folder where it is missing. It has its name only once it is on the disk. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path + NEW_SUFFIX, 'w');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(path + NEW_SUFFIX, path);
}

/** Writes what comes piece by piece, under the same promise. */
export async function writeStreamed(path: string, pieces: AsyncIterable<string> | Iterable<string>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path + NEW_SUFFIX, 'w');
  try {
    for await (const piece of pieces) await file.writeFile(piece);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(path + NEW_SUFFIX, path);
}

/** The chunks in a folder of an export, in order; none where there is no folder. */
export async function chunksIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names
    .filter((name) => /^[0-9]{6}\.jsonl$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** The lines of the chunks in a folder, parsed, in order. */
export async function* linesIn<Line>(
  folder: string,
  parse: (text: string) => unknown = JSON.parse,
): AsyncGenerator<Line> {
  for (const chunk of await chunksIn(folder)) {
    for await (const line of createInterface({
      input: createReadStream(chunk, 'utf8'),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      if (line !== '') yield parse(line) as Line;
    }
  }
}

/** Every file below a folder by its path from there, sorted; unfinished ones left out. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(NEW_SUFFIX))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split('\\').join('/'))
    .sort();
}

/** A file with its size and digest. */
export async function listed(folder: string, path: string): Promise<ListedFile> {
  const digest = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(join(folder, path)) as AsyncIterable<Buffer>) {
    digest.update(chunk);
    bytes += chunk.length;
  }
  return { path, bytes, sha256: digest.digest('hex') };
}
