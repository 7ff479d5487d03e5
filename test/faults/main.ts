/** main.ts [--cycles N] [--seed N] [--senders N]: as many crashes as wished. Exit status 1 at the first finding. */
import { parseArgs } from 'node:util';
import { runCrashCycles } from './crash-cycles.ts';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    senders: { type: 'string', default: '8' },
  },
});
const cycles = Number(values.cycles);
const reports = await runCrashCycles({
  cycles,
  seed: Number(values.seed),
  senders: Number(values.senders),
  minLoadMs: 20,
  maxLoadMs: 700,
  killStartEvery: 4,
  verifyEvery: 10,
  onCycle: ({ cycle, acknowledged, durableUnacknowledged, gone, restartMs, startKilled }) => {
    process.stderr.write(
      `cycle ${cycle}/${cycles}: ${acknowledged} acknowledged and there, ${durableUnacknowledged} durable before their ` +
        `answer, ${gone} without a trace; ${startKilled ? 'killed while it started, then ' : ''}restarted in ` +
        `${Math.round(restartMs)} ms\n`,
    );
  },
});
const total = reports.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
process.stdout.write(`${reports.length} crashes, ${total} acknowledged sends, none lost, doubled or changed\n`);
