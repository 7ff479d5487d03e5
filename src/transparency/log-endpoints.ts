/** The public part of the log, in the form of https://c2sp.org/tlog-tiles: checkpoint and hash tiles. Records are not public. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { RawAnswer } from '#src/http/answer.ts';
import { type Endpoint, endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import type { EvidenceFiles } from './evidence-files.ts';

/** A path below `tile/`: level, index in groups of three digits, and the width of a partial tile. */
const TILE = /^[0-6]\/(?:x[0-9]{3}\/){0,4}[0-9]{3}(?:\.p\/(?:[1-9][0-9]{0,2}))?$/;
/** Most parts that a tile's path has. */
const MAX_PARTS = 7;
const PLAIN = 'text/plain; charset=utf-8';
/** A tile never changes once it is there. */
const FOR_EVER = 'public, max-age=31536000, immutable';

/** What the endpoints serve. */
export interface PublicLog {
  /** Folder of the tree. */
  readonly folder: string;
  readonly checkpoint: () => string | undefined;
  readonly verifierKey: string;
  readonly evidence: EvidenceFiles;
  /** Whether what enough witnesses cosigned is served instead of what is the latest. */
  readonly isWitnessed: boolean;
}

/** `GET /_stele/log/checkpoint`, `/_stele/log/key` and `/_stele/log/tile/…`. */
export function logEndpoints(log: PublicLog): Endpoint<unknown>[] {
  const tiles = Array.from({ length: MAX_PARTS }, (_, count) => {
    const names = Array.from({ length: count + 1 }, (_, part) => `part${part}`);
    return endpoint({
      method: 'GET',
      path: `/_stele/log/tile/${names.map((name) => `{${name}}`).join('/')}`,
      auth: 'none',
      rateLimit: 'read',
      handler: ({ params }) =>
        tile(log.folder, names.map((name) => (params as Readonly<Record<string, string>>)[name] ?? '').join('/')),
    });
  });
  return [
    endpoint({
      method: 'GET',
      path: '/_stele/log/checkpoint',
      auth: 'none',
      rateLimit: 'read',
      handler: async () => {
        const note = (log.isWitnessed ? await log.evidence.witnessed() : undefined) ?? log.checkpoint();
        if (note === undefined) throw notFound('Nothing is published yet.');
        return new RawAnswer({ headers: { 'content-type': PLAIN, 'cache-control': 'no-cache' }, body: note });
      },
    }),
    endpoint({
      method: 'GET',
      path: '/_stele/log/key',
      auth: 'none',
      rateLimit: 'read',
      handler: () => new RawAnswer({ headers: { 'content-type': PLAIN }, body: `${log.verifierKey}\n` }),
    }),
    ...tiles,
  ];
}

async function tile(folder: string, name: string): Promise<RawAnswer> {
  if (!TILE.test(name)) throw notFound('There is no such tile.');
  const bytes = await readFile(path.join(folder, 'tile', name)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EISDIR')
      throw notFound('There is no such tile.');
    throw error;
  });
  return new RawAnswer({
    headers: { 'content-type': 'application/octet-stream', 'cache-control': FOR_EVER },
    body: bytes,
  });
}
