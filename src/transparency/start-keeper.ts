/** Puts a keeper of checkpoints together from the configuration. */
import { readFile } from 'node:fs/promises';
import type { Config } from '#src/config/schema.ts';
import type { Context } from '#src/context.ts';
import type { Logger } from '#src/log/logger.ts';
import { undiciLoaded } from '#src/net/undici.ts';
import { parseCosignatureVerifier } from '#streams/transparency/cosignature.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { MAX_TIMESTAMP_BYTES } from '#streams/transparency/timestamp-limits.ts';
import { MAX_WITNESS_REQUEST } from '#streams/transparency/witness.ts';
import { CheckpointKeeper } from './checkpoint-keeper.ts';
import { EvidenceFiles } from './evidence-files.ts';
import { WitnessClient } from './witness-client.ts';

/** How long a witness or an authority may take to answer. */
const ANSWER_TIMEOUT_MS = 15_000;

/** What {@link startKeeper} needs beside the configuration. */
export interface KeeperParts {
  readonly config: Config;
  readonly folder: string;
  readonly checkpoint: () => string | undefined;
  readonly context: Pick<Context, 'commands' | 'audit' | 'newRecordId' | 'clock'>;
  readonly logger: Logger;
}

/** Makes the keeper; nothing happens before it is started. @throws {Error} that names the file of certificates if it cannot be read. */
export async function makeKeeper({
  config,
  folder,
  checkpoint,
  context,
  logger,
}: KeeperParts): Promise<CheckpointKeeper> {
  const { witnesses, witness_quorum: quorum, timestamp_authority: authority } = config.transparency;
  const { witness_interval: cosignIntervalMs, timestamp_interval: stampIntervalMs } = config.transparency;
  const files = new TileFiles(folder);
  return new CheckpointKeeper({
    checkpoint,
    evidence: new EvidenceFiles(folder),
    witnesses: witnesses.map(
      ({ url, key }) =>
        new WitnessClient({
          url: url.replace(/\/+$/, ''),
          verifier: parseCosignatureVerifier(key),
          files,
          post: async (to, body) => {
            const { status, bytes } = await post(
              to,
              'text/plain; charset=utf-8',
              Buffer.from(body),
              MAX_WITNESS_REQUEST,
            );
            return { status, body: bytes.toString('utf8') };
          },
        }),
    ),
    quorum: quorum ?? Math.floor(witnesses.length / 2) + 1,
    cosignIntervalMs,
    authority: authority === null ? undefined : await authorityOf(authority),
    stampIntervalMs,
    commands: context.commands,
    audit: context.audit,
    newRecordId: context.newRecordId,
    clock: context.clock,
    logger,
  });
}

async function authorityOf({ url, ca_file: file }: { readonly url: string; readonly ca_file: string }) {
  return {
    url,
    trusted: await readFile(file, 'utf8'),
    post: async (request: Buffer) => {
      const { status, bytes } = await post(url, 'application/timestamp-query', request, MAX_TIMESTAMP_BYTES);
      if (status !== 200) throw new Error(`the time-stamp authority ${url} answered ${status}`);
      return bytes;
    },
  };
}

async function post(url: string, type: string, body: Buffer, maxBytes: number) {
  const { statusCode, body: answer } = await (await undiciLoaded()).request(url, {
    method: 'POST',
    headers: { 'content-type': type },
    body,
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) throw new Error(`${url} answered with more than ${maxBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  return { status: statusCode, bytes: Buffer.concat(chunks) };
}
