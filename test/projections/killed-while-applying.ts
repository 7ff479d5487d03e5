/**
 * Run as a process of its own: DIR COUNT POSITION. Follows a log of COUNT notes, the last 200 of them live and one by one,
 * and is killed in the middle of applying the one at POSITION, when it is in the log but not in the environment.
 */
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { ListLog } from '#projections/engine/list-log.test-support.ts';
import { notes, sampleProjections } from '#projections/engine/notes.test-support.ts';
import type { Projection } from '#projections/engine/projection.ts';

const LIVE = 200;
const [dir, count, position] = process.argv.slice(2);

const deadly: Projection = {
  ...notes,
  apply(tx, record) {
    notes.apply(tx, record);
    if (record.position === Number(position)) process.kill(process.pid, 'SIGKILL');
  },
};

const log = new ListLog(Number(count) - LIVE);
await ProjectionEngine.open({
  dir: String(dir),
  log,
  projections: [deadly, ...sampleProjections.slice(1)],
  bootId: 'first boot',
});
for (let added = 0; added < LIVE; added++) log.grow(1);
