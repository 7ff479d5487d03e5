import type { AddFigures } from '#src/http/metrics.ts';
import type { KeeperCounts } from './checkpoint-keeper.ts';

/** The figures of what others vouch for. All are read when somebody asks. */
export function transparencyFigures(counts: KeeperCounts, publishedSize: () => number): AddFigures {
  return (registry, { Gauge }) => {
    const registers = [registry];
    new Gauge({
      name: 'stele_log_published_records',
      help: 'Records that the published checkpoint speaks of.',
      registers,
      collect() {
        this.set(publishedSize());
      },
    });
    new Gauge({
      name: 'stele_log_witnessed_records',
      help: 'Records that the last checkpoint speaks of that enough witnesses cosigned since the start.',
      registers,
      collect() {
        this.set(counts.witnessedSize);
      },
    });
    new Gauge({
      name: 'stele_log_timestamped_records',
      help: 'Records that the last time-stamped checkpoint speaks of.',
      registers,
      collect() {
        this.set(counts.stampedSize);
      },
    });
    new Gauge({
      name: 'stele_witness_alarms',
      help: 'How often witnesses have said since the start that this log contradicts what they saw of it. Above 0: look at once.',
      labelNames: ['kind'],
      registers,
      collect() {
        for (const [kind, count] of Object.entries(counts.alarms)) this.set({ kind }, count);
      },
    });
    new Gauge({
      name: 'stele_checkpoint_failures',
      help: 'How often witnesses or the time-stamp authority did not answer as they should since the start.',
      labelNames: ['step'],
      registers,
      collect() {
        for (const [step, count] of Object.entries(counts.failures)) this.set({ step }, count);
      },
    });
  };
}
