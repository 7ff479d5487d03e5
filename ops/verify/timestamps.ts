/** The time stamps beside the tree: each has to be of the checkpoint that is kept with it, and that one of the log. */
import { hash } from 'node:crypto';
import { EvidenceFiles } from '#src/transparency/evidence-files.ts';
import type { Finding } from './finding.ts';
import type { KnownCheckpoint } from './verify-log.ts';

/** What was found. */
export interface TimestampCheck {
  /** The stamped checkpoints, to hold the log against. */
  readonly checkpoints: readonly KnownCheckpoint[];
  /** Those that hold under an authority that is trusted. */
  readonly verified: number;
  readonly findings: readonly Finding[];
}

/** Checks the time stamps of a transparency folder. Without certificates to trust only the checkpoints are taken. */
export async function checkTimestamps(
  transparencyFolder: string,
  trusted: string | undefined,
): Promise<TimestampCheck> {
  const checkpoints: KnownCheckpoint[] = [];
  const findings: Finding[] = [];
  let verified = 0;
  for await (const { file, response, checkpoint } of new EvidenceFiles(transparencyFolder).timestamps()) {
    if (checkpoint === undefined) {
      findings.push({ kind: 'checkpoint', message: `${file}: the checkpoint that it is of is missing` });
      continue;
    }
    checkpoints.push({ source: file, text: checkpoint.toString('utf8') });
    if (trusted === undefined) continue;
    const { TimestampRejected, verifyTimestamp } = await import('#streams/transparency/timestamp.ts');
    try {
      verifyTimestamp(response, { digest: hash('sha256', checkpoint, 'buffer') }, trusted);
      verified += 1;
    } catch (error) {
      if (!(error instanceof TimestampRejected)) throw error;
      findings.push({ kind: 'checkpoint', message: `${file}: ${error.message}` });
    }
  }
  return { checkpoints, verified, findings };
}
