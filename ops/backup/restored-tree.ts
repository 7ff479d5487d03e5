/**
 * The tree of a restored log: its tiles made from the log, the first checkpoint under the new key, the past checkpoints that still
 * fit, and, where the old key is at hand, its word that the new key continues its log.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openLogReadOnly } from '#streams/open-log.ts';
import { signCheckpoint } from '#streams/transparency/checkpoint.ts';
import type { NoteSigner } from '#streams/transparency/note.ts';
import { TileBuilder } from '#streams/transparency/tile-builder.ts';
import { fullTiles } from '#streams/transparency/tile-check.ts';
import { type PastCheckpoint, TileFiles } from '#streams/transparency/tile-files.ts';

/** First line of what an old key signs about the key that continues its log. */
export const SUCCESSION = 'stele log succession/1';
/** The folder of such notes, in that of the tree. */
export const SUCCESSIONS_FOLDER = 'successions';

/** What {@link publishRestoredTree} needs. */
export interface RestoredTree {
  readonly logFolder: string;
  readonly transparencyFolder: string;
  /** The key that the restored log signs with. */
  readonly signer: NoteSigner;
  /** Checkpoints of the old log, none of more records than there are, oldest first. */
  readonly history: readonly PastCheckpoint[];
  readonly oldSigner: NoteSigner | undefined;
}

/** See the file's comment. */
export async function publishRestoredTree(options: RestoredTree): Promise<void> {
  const { transparencyFolder, signer, history, oldSigner } = options;
  const files = new TileFiles(transparencyFolder);
  await mkdir(transparencyFolder, { recursive: true });
  const head = await buildTiles(options.logFolder, files);
  await files.writeCheckpoint(signCheckpoint(head, signer));
  for (const entry of history) await files.appendHistory(entry);
  if (oldSigner === undefined) return;
  const folder = path.join(transparencyFolder, SUCCESSIONS_FOLDER);
  await mkdir(folder, { recursive: true });
  const root = Buffer.from(head.root).toString('base64');
  const lines = [SUCCESSION, oldSigner.verifier.text, head.size, root, signer.verifier.text];
  const name = `${signer.verifier.keyId.toString(16).padStart(8, '0')}.note`;
  await writeFile(path.join(folder, name), oldSigner.sign(lines.map((line) => `${line}\n`).join('')));
}

async function buildTiles(logFolder: string, files: TileFiles) {
  const log = await openLogReadOnly({ folder: logFolder, withKeys: false });
  try {
    const size = log.head() + 1;
    const leaves = { size: () => size, readLeaves: (index: number) => log.readLeaves(index - 1) };
    const builder = new TileBuilder();
    for await (const tile of fullTiles(builder, leaves, size)) await files.write([tile]);
    await files.write(builder.partials());
    return { size: builder.size, root: builder.root() };
  } finally {
    await log.close();
  }
}
