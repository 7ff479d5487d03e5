/** bench [NAME…] [--json]: runs the benchmarks, all or those named, and prints a table. */
import { parseArgs } from 'node:util';
import type { BenchResult } from './result.ts';

/** Every benchmark, by name, with what it needs loaded only when it runs. */
const BENCHMARKS: Readonly<Record<string, () => Promise<BenchResult | readonly BenchResult[]>>> = {
  append: async () => (await import('./append.ts')).runAppendBench(),
  send: async () => (await import('./send.ts')).runSendBench(),
  audit: async () => (await import('./audit.ts')).runAuditBench(),
  'fan-out': async () => (await import('./fan-out.ts')).runFanOutBench(),
  sync: async () => (await import('./sync.ts')).runSyncBench(),
  'sliding-sync': async () => (await import('./sliding-sync.ts')).runSlidingSyncBench(),
  push: async () => (await import('./push.ts')).runPushBench(),
  rebuild: async () => (await import('./rebuild.ts')).runRebuildBench(),
  verify: async () => (await import('./verify.ts')).runVerifyBench(),
  search: async () => (await import('./search.ts')).runSearchBench(),
  state: async () => (await import('./state.ts')).runStateBench(),
  'auth-chains': async () => (await import('./auth-chains.ts')).runAuthChainsBench(),
  'event-checks': async () => (await import('./event-checks.ts')).runEventChecksBench(),
  resolution: async () => (await import('./resolution.ts')).runResolutionBench(),
  joins: async () => (await import('./joins.ts')).runJoinsBench(),
  federation: async () => (await import('./federation.ts')).runFederationBench(),
  inbound: async () => (await import('./inbound.ts')).runInboundBench(),
  outbound: async () => (await import('./outbound.ts')).runOutboundBench(),
  media: async () => (await import('./media.ts')).runMediaBench(),
  export: async () => (await import('./export.ts')).runExportBench(),
  erasure: async () => (await import('./erasure.ts')).runErasureBench(),
  resources: async () => (await import('./resources.ts')).runResourcesBench(),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
});
const unknown = positionals.filter((name) => !(name in BENCHMARKS));
if (values.help || unknown.length > 0) {
  for (const name of unknown) process.stderr.write(`There is no benchmark ${name}.\n`);
  process.stderr.write(`usage: npm run bench -- [--json] [${Object.keys(BENCHMARKS).join('|')}]…\n`);
  process.exit(values.help ? 0 : 2);
}
const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
if (!values.json)
  process.stdout.write('| what | figure | ceiling of the same run | ratio | |\n|---|---|---|---|---|\n');
for (const name of names) {
  process.stderr.write(`${name}…\n`);
  const outcome = await BENCHMARKS[name]?.();
  for (const result of outcome === undefined ? [] : [outcome].flat()) {
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : tableRow(result));
  }
}

function tableRow({ name, figure, unit, ceiling, ceilingName, ratio, details }: BenchResult): string {
  const number = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 });
  const rest = Object.entries(details).map(
    ([key, value]) => `${key} ${typeof value === 'number' ? number(value) : value}`,
  );
  return `| ${name} | ${number(figure)} ${unit} | ${number(ceiling)} (${ceilingName}) | ${ratio.toFixed(2)} | ${rest.join(', ')} |\n`;
}
