import { existsSync } from 'node:fs';
import { coreProjections } from '#projections/catalogue.ts';
import type { TableComparison } from '#projections/engine/compare.ts';
import type { Projection } from '#projections/engine/projection.ts';
import { type CheckResult, check, NothingToCheck, type Replayed, rebuild } from '#projections/engine/replay.ts';
import { searchProjections } from '#projections/search/catalogue.ts';
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
Everything that the server shows is a projection of its log; the search index is one too, apart from the others. Without options
this builds them anew beside those in use and swaps them in at the end; the server must not be running.

With --check it builds them in a temporary folder instead, compares every table with the one in use, byte for byte and at the
same position, and changes nothing; the server may be running. Exit status 1 if anything differs.`,
  examples: ['replay --check'],
  options: {
    check: { type: 'boolean', description: 'Compare with the projections in use instead of replacing them' },
  },
  printsData: true,
  run: async ({ options, loadConfig, json, print, say, signal }) => {
    const { data_dir: dataDir } = await loadConfig();
    const work: Work = { dataDir, json, print, say, signal };
    return options.check ? checkProjections(work) : rebuildProjections(work);
  },
});

/** What is built from the log in a folder of its own. */
interface Part {
  /** As the subject of a sentence in the plural or singular, with its verb. */
  readonly subject: string;
  readonly wereBuilt: string;
  readonly areRight: string;
  readonly differ: string;
  readonly dir: string;
  readonly projections: readonly Projection[];
}

function partsOf(dataDir: string): { readonly core: Part; readonly search: Part } {
  const paths = dataPaths(dataDir);
  return {
    core: {
      subject: 'projections',
      wereBuilt: 'The projections were built anew',
      areRight: 'The projections are what the log says',
      differ: 'The projections differ from what the log says',
      dir: paths.projections,
      projections: coreProjections,
    },
    search: {
      subject: 'search index',
      wereBuilt: 'The search index was built anew',
      areRight: 'The search index is what the log says',
      differ: 'The search index differs from what the log says',
      dir: paths.search,
      projections: searchProjections,
    },
  };
}

async function rebuildProjections({ dataDir, json, print, say, signal }: Work): Promise<ExitStatus> {
  const paths = dataPaths(dataDir);
  const log = await openLog({ folder: paths.log, mustHaveAtLeast: await latestPublishedSize(paths.transparency) });
  const { core, search } = partsOf(dataDir);
  const build = async ({ subject, wereBuilt, dir, projections }: Part): Promise<Replayed> => {
    const progress = startProgress({ label: `Rebuilding ${subject}`, unit: 'records' });
    const onProgress = (records: number): void => progress.update(records, log.head() + 1);
    const replayed = await rebuild({ dir, projections, log, onProgress, signal }).finally(() => progress.finish());
    if (!json) say(`${wereBuilt}: ${sentence(replayed)}.`);
    return replayed;
  };
  try {
    const replayed = await build(core);
    // Where there is no index, the server makes one when there is something to index.
    const indexed = existsSync(search.dir) ? await build(search) : undefined;
    if (json) print(JSON.stringify({ ok: true, ...figures(replayed), ...(indexed && { search: figures(indexed) }) }));
    return SUCCESS;
  } finally {
    await log.close();
  }
}

async function checkProjections({ dataDir, json, print, say, signal }: Work): Promise<ExitStatus> {
  const log = await openLogReadOnly({ folder: dataPaths(dataDir).log });
  const { core, search } = partsOf(dataDir);
  const compare = async (part: Part): Promise<CheckResult> => {
    const building = startProgress({ label: `Replaying ${part.subject}`, unit: 'records' });
    const comparing = startProgress({ label: `Comparing ${part.subject}`, unit: 'rows' });
    const result = await check({
      dir: part.dir,
      projections: part.projections,
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
    if (!json) for (const table of result.tables) for (const line of differencesOf(table)) print(line);
    if (!json) say(conclusion(part, result));
    return result;
  };
  try {
    const result = await compare(core);
    const indexed = await compare(search).catch((error: unknown) => {
      if (!(error instanceof NothingToCheck)) throw error;
      if (!json) say('There is no search index to check; the server makes one when there is something to index.');
      return undefined;
    });
    const isEqual = result.isEqual && indexed?.isEqual !== false;
    if (json) {
      const tables = [...result.tables, ...(indexed?.tables ?? [])];
      const ofIndex = indexed && { search: figures(indexed) };
      print(JSON.stringify({ ok: isEqual, ...figures(result), ...ofIndex, tables }));
    }
    return isEqual ? SUCCESS : FINDING;
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

function conclusion({ areRight, differ }: Part, result: CheckResult): string {
  const rows = result.tables.reduce((sum, table) => sum + table.rows, 0);
  const differing = result.tables.filter(({ differences }) => differences > 0);
  const compared = `${sentence(result)}, ${count(rows)} rows in ${result.tables.length} tables compared`;
  if (result.isEqual) return `${areRight}: ${compared}.`;
  const names = differing.map(({ table, differences }) => `${table} (${count(differences)})`).join(', ');
  return `${differ}: ${names}. Build anew with 'stele replay'; ${compared}.`;
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
