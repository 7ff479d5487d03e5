import type { Config } from '#src/config/schema.ts';
import { dataPaths } from '#src/data-paths.ts';
import { type Endpoint, endpoint } from '#src/http/endpoint.ts';
import { invalidParam, limitExceeded, notFound } from '#src/http/errors.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { makeInclusionProof } from '#streams/transparency/make-proof.ts';
import type { NoteVerifier } from '#streams/transparency/note.ts';
import type { InclusionProof } from '#streams/transparency/proof.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';

/** Proofs that are made or waited for at a time: each opens the log for itself. */
const MAX_WAITING = 8;
const RETRY_AFTER_MS = 5_000;

export interface ProofOptions {
  readonly config: Pick<Config, 'data_dir'>;
  readonly verifier: NoteVerifier;
  /** Position of the last record. */
  readonly head: () => number;
  /** Publishes a head of the log with all that is in it. */
  readonly publish: () => Promise<void>;
}

/**
 * `GET /_stele/admin/proofs/{position}`: that a record is in the log, as `stele proof check` takes it. It has the record's public header
 * and digests; of what the record says it shows nothing.
 */
export function proofEndpoint({ config, verifier, head, publish }: ProofOptions): Endpoint<unknown> {
  const paths = dataPaths(config.data_dir);
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();

  const prove = async (position: number): Promise<InclusionProof> => {
    await publish();
    const log = await openLogReadOnly({ folder: paths.log, withKeys: false });
    try {
      const record = await log.readRaw(position);
      if (record === undefined) throw notFound(`The log has no record ${position}.`);
      const files = new TileFiles(paths.transparency);
      return await makeInclusionProof({ files, verifier }, { record, leafIndex: position });
    } finally {
      await log.close();
    }
  };
  const positionOf = (text: string): number => {
    if (!/^\d{1,15}$/.test(text)) throw invalidParam('A position is a whole number.');
    if (Number(text) > head()) throw notFound(`The log has no record ${text}.`);
    return Number(text);
  };
  return endpoint({
    method: 'GET',
    path: '/_stele/admin/proofs/{position}',
    auth: 'admin',
    may: 'proofs.read',
    rateLimit: 'none',
    audit: { action: 'proof.read', describe: ({ params }) => ({ after: { position: positionOf(params.position) } }) },
    handler: async ({ params }) => {
      if (waiting >= MAX_WAITING) throw limitExceeded(RETRY_AFTER_MS);
      waiting += 1;
      const made = last.then(() => prove(positionOf(params.position))).finally(() => (waiting -= 1));
      last = made.catch(() => undefined);
      return made;
    },
  });
}
