import { coreProjections } from '#projections/catalogue.ts';
import type { TableComparison } from '#projections/engine/compare.ts';
import { type CheckResult, check, type Replayed, rebuild } from '#projections/engine/replay.ts';
import { dataPaths } from '#src/data-paths.ts';
import { openLog, openLogReadOnly } from '#streams/open-log.ts';
import { latestPublishedSize } from '#streams/transparency/transparency-log.ts';
import { defineCommand, type ExitStatus, FINDING, SUCCESS } from '../command.ts';
import { count, formatSeconds, startProgress } from '../progress.ts';

/** Differences that are shown of each table. */
const MAX_SHOWN = 10;

interface Work {
  /** The data folder. */
  readonly dataDir: string;
  readonly json: boolean;
  print(line: string): void;
  say(line: string): void;
  readonly signal: AbortSignal;
}

/** `stele replay` */
export const command = defineCommand({
  name: 'replay',
  summary: 'Build the projections anew from the log, or check that they are what the log says',
  usage: '',
  description: `
Everything that the server shows is a projection of its log. Without options this builds the projections anew beside those in
use and swaps them in at the end; the server must not be running.

With --check it builds them in a temporary folder instead, compares every table with the one in use, byte for byte and at the
same position, and changes nothing; the server may be running. Exit status 1 if anything differs.`,
  options: {
    check: { type: 'boolean', description: 'Compare with the projections in use instead of replacing them.' },
  },
  printsData: true,
  run: async ({ options, loadConfig, json, print, say, signal }) => {
    const { data_dir: dataDir } = await loadConfig();
    const work: Work = { dataDir, json, print, say, signal };
    return options.check ? checkProjections(work) : rebuildProjections(work);
  },
});

async function rebuildProjections({ dataDir, json, print, say, signal }: Work): Promise<ExitStatus> {
  const paths = dataPaths(dataDir);
  const log = await openLog({ folder: paths.log, mustHaveAtLeast: await latestPublishedSize(paths.transparency) });
  try {
    const progress = startProgress({ label: 'Rebuilding projections', unit: 'records' });
    const replayed = await rebuild({
      dir: paths.projections,
      projections: coreProjections,
      log,
      onProgress: (records) => progress.update(records, log.head() + 1),
      signal,
    }).finally(() => progress.finish());
    if (json) print(JSON.stringify({ ok: true, ...figures(replayed) }));
    else say(`The projections were built anew: ${sentence(replayed)}.`);
    return SUCCESS;
  } finally {
    await log.close();
  }
}

async function checkProjections({ dataDir, json, print, say, signal }: Work): Promise<ExitStatus> {
  const paths = dataPaths(dataDir);
  const log = await openLogReadOnly({ folder: paths.log });
  try {
    const building = startProgress({ label: 'Replaying', unit: 'records' });
    const comparing = startProgress({ label: 'Comparing', unit: 'rows' });
    const result = await check({
      dir: paths.projections,
      projections: coreProjections,
      log,
      maxDifferences: MAX_SHOWN,
      onProgress: (records) => building.update(records, log.head() + 1),
      onCompared: (rows, total) => {
        building.finish();
        comparing.update(rows, total);
      },
      signal,
    }).finally(() => {
      building.finish();
      comparing.finish();
    });
    if (json) print(JSON.stringify({ ok: result.isEqual, ...figures(result), tables: result.tables }));
    else for (const table of result.tables) for (const line of differencesOf(table)) print(line);
    if (!json) say(conclusion(result));
    return result.isEqual ? SUCCESS : FINDING;
  } finally {
    await log.close();
  }
}

function differencesOf({ table, differences, first }: TableComparison): string[] {
  const lines = first.map(({ what, key, inUse, rebuilt }) => {
    if (what === 'missing') return `${table} ${key}: missing; the log gives ${rebuilt}`;
    if (what === 'extra') return `${table} ${key}: not in the log; in use is ${inUse}`;
    return `${table} ${key}: in use is ${inUse}; the log gives ${rebuilt}`;
  });
  if (differences > first.length) lines.push(`${table}: ${count(differences - first.length)} more differences`);
  return lines;
}

function conclusion(result: CheckResult): string {
  const rows = result.tables.reduce((sum, table) => sum + table.rows, 0);
  const differing = result.tables.filter(({ differences }) => differences > 0);
  const compared = `${sentence(result)}, ${count(rows)} rows in ${result.tables.length} tables compared`;
  if (result.isEqual) return `The projections are what the log says: ${compared}.`;
  const names = differing.map(({ table, differences }) => `${table} (${count(differences)})`).join(', ');
  return `The projections differ from what the log says: ${names}. Build them anew with 'stele replay'; ${compared}.`;
}

function sentence({ records, frontier, seconds }: Replayed): string {
  return `${count(records)} records up to position ${frontier} in ${formatSeconds(seconds)} (${count(rateOf(records, seconds))}/s)`;
}

function figures({ records, frontier, seconds }: Replayed): Record<string, number> {
  return { records, frontier, seconds: Number(seconds.toFixed(3)), recordsPerSecond: rateOf(records, seconds) };
}

function rateOf(records: number, seconds: number): number {
  return seconds > 0 ? Math.round(records / seconds) : 0;
}
