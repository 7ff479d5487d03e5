import type { AddFigures } from '#src/http/metrics.ts';
import type { Destruction } from './destruction/destruction.ts';

/** The figures of what is being destroyed. All are read when somebody asks. */
export function complianceFigures(destruction: Destruction): AddFigures {
  return (registry, { Gauge }) => {
    const registers = [registry];
    new Gauge({
      name: 'stele_destructions_unfinished',
      help: 'Decisions that something goes whose keys are destroyed and whose rows are not cleared from the tables yet.',
      registers,
      collect() {
        this.set(destruction.unfinished);
      },
    });
    new Gauge({
      name: 'stele_destruction_missing_bytes',
      help: 'What has to become free on the disk before tables can be cleared of what was destroyed. Above 0: make room.',
      registers,
      collect() {
        this.set(destruction.missingBytes);
      },
    });
  };
}
