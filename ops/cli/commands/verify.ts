import { readFile } from 'node:fs/promises';
import { dataPaths } from '#src/data-paths.ts';
import type { NoteVerifier } from '#streams/transparency/note.ts';
import { readPublicKey, SigningKeyError } from '#streams/transparency/signing-key.ts';
import { checkTimestamps } from '../../verify/timestamps.ts';
import { MAX_WORKERS, repairTiles, verifyFolder } from '../../verify/verify-folder.ts';
import type { VerifyReport } from '../../verify/verify-log.ts';
import { defineCommand, FINDING, SUCCESS, UsageError } from '../command.ts';
import { count, formatSeconds, startProgress } from '../progress.ts';

/** `stele verify` */
export const command = defineCommand({
  name: 'verify',
  summary: 'Check that the log is whole, and is the history that was published',
  usage: '',
  description: `
Reads every record: its checksum, its place in its stream, its hash in the published tree, and that each section opens with
its key, or that the key was destroyed as a record decided. Then the tree: every tile, and the root of every checkpoint. Works while the server
runs. A checkpoint that was kept elsewhere is the strongest witness: give it with --checkpoint.
Exit status 1 if anything is wrong; each finding names the file, the offset and the record as far as they are known.`,
  examples: ['verify', 'verify --checkpoint checkpoint-of-last-year --events'],
  options: {
    from: {
      type: 'string',
      value: 'POSITION',
      description: 'Begin at this record; the tree before it is taken from the tiles',
      defaultText: '0',
    },
    checkpoint: {
      type: 'string',
      value: 'FILE',
      description: 'Also hold the log against this checkpoint; may be given several times',
      multiple: true,
    },
    events: { type: 'boolean', description: 'Also compute the id of every event from what the record says' },
    'no-open': { type: 'boolean', description: 'Do not open sections: needs no keys, and is faster' },
    'repair-tiles': { type: 'boolean', description: 'Make missing or damaged tiles again, if nothing else is wrong' },
    workers: { type: 'string', value: 'N', description: 'Threads', defaultText: 'one for each processor' },
  },
  printsData: true,
  run: async ({ options, loadConfig, json, print, say, signal }) => {
    if (options.events && options['no-open']) throw new UsageError('--events needs what --no-open leaves closed');
    const from = options.from === undefined ? 0 : wholeNumber('--from', options.from, 0, Number.MAX_SAFE_INTEGER);
    const workers =
      options.workers === undefined ? undefined : wholeNumber('--workers', options.workers, 1, MAX_WORKERS);
    const checkpoints = await Promise.all(
      options.checkpoint.map(async (source) => ({ source, text: await readFile(source, 'utf8') })),
    );
    const config = await loadConfig();
    const paths = dataPaths(config.data_dir);
    const verifier = await publicKey(paths.logSigningKey, say);
    const progress = startProgress({ label: 'Verifying', unit: 'records' });
    const startedMs = performance.now();
    const authority = config.transparency.timestamp_authority;
    const stamps = await checkTimestamps(
      paths.transparency,
      authority === null ? undefined : await readFile(authority.ca_file, 'utf8'),
    );
    const { erasures: _, ...verified } = await verifyFolder({
      logFolder: paths.log,
      transparencyFolder: paths.transparency,
      from,
      checkpoints: [...checkpoints, ...stamps.checkpoints],
      opens: !options['no-open'],
      checksEvents: options.events,
      onProgress: (records, total) => progress.update(records, total),
      signal,
      ...(workers !== undefined && { workers }),
      ...(verifier && { verifier }),
    }).finally(() => progress.finish());
    const report = {
      ...verified,
      timestamps: stamps.verified,
      findings: [...verified.findings, ...stamps.findings],
      findingCount: verified.findingCount + stamps.findings.length,
    };
    const seconds = (performance.now() - startedMs) / 1000;
    const isRepaired = options['repair-tiles'] && hasOnlyBadTiles(report);
    if (json) print(JSON.stringify(jsonReport(report, verifier, seconds)));
    else for (const line of lines(report, seconds)) print(line);
    if (isRepaired) {
      const tiles = await repairTiles({ logFolder: paths.log, transparencyFolder: paths.transparency, signal });
      say(`${count(tiles)} tiles were made again from the log.`);
    }
    return report.findingCount === 0 || isRepaired ? SUCCESS : FINDING;
  },
});

async function publicKey(keyFile: string, say: (line: string) => void): Promise<NoteVerifier | undefined> {
  try {
    return await readPublicKey(keyFile);
  } catch (error) {
    if (!(error instanceof SigningKeyError)) throw error;
    say(`warning: signatures of checkpoints are not checked: ${error.message}`);
    return undefined;
  }
}

function hasOnlyBadTiles({ findings, findingCount }: VerifyReport): boolean {
  return findingCount > 0 && findings.length === findingCount && findings.every(({ kind }) => kind === 'tile');
}

function jsonReport(report: VerifyReport, verifier: NoteVerifier | undefined, seconds: number): unknown {
  const { findings, findingCount, ...figures } = report;
  return {
    ok: findingCount === 0,
    ...figures,
    logKey: verifier?.text ?? null,
    seconds: Number(seconds.toFixed(3)),
    findingCount,
    findings,
  };
}

function lines(report: VerifyReport & { readonly timestamps: number }, seconds: number): string[] {
  const { findings, findingCount, records, from, size, publishedSize, streams, destroyedSections, checkpoints } =
    report;
  const rate = seconds > 0 ? Math.round(records / seconds) : 0;
  const lines = findings.map(({ kind, message }) => `${kind}: ${message}`);
  if (findingCount > findings.length) lines.push(`… and ${count(findingCount - findings.length)} more`);
  lines.push(
    `${count(records)} records in ${count(streams)} streams${from > 0 ? ` from record ${from} on` : ''}, ` +
      `read in ${formatSeconds(seconds)} (${count(rate)}/s)`,
    `${count(checkpoints)} checkpoints compared: ${count(publishedSize)} records published, ${count(size)} in the log`,
  );
  if (report.otherKeys > 0)
    lines.push(`${count(report.otherKeys)} of these checkpoints are not signed by the log's present key`);
  if (report.timestamps > 0) lines.push(`${count(report.timestamps)} time stamps of checkpoints hold`);
  if (destroyedSections > 0) lines.push(`${count(destroyedSections)} sections are erased: their keys are destroyed`);
  lines.push(findingCount === 0 ? praise(report) : `${count(findingCount)} findings.`);
  return lines;
}

/** Says no more than was looked at: without a checkpoint somebody could have made the whole log anew. */
function praise({ checkpoints }: VerifyReport): string {
  if (checkpoints > 0) return 'The log is whole and is what was published.';
  return (
    'The log is whole in itself, but there is no checkpoint to compare it with: a log that was rewritten would look the ' +
    'same. Give a checkpoint that was kept elsewhere with --checkpoint.'
  );
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new UsageError(`${option} takes a whole number from ${min} to ${max}`);
  return value;
}
