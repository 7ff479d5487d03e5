/**
 * Run as a process of its own with a channel to its parent: DIR COUNT BOOT_ID. Follows a log of COUNT notes and says `ready`;
 * told to `grow`, appends 500 more one by one and says `grown`. Ends when the parent lets go.
 */
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { ListLog } from '#projections/engine/list-log.test-support.ts';
import { sampleProjections } from '#projections/engine/notes.test-support.ts';

const GROWTH = 500;
const [dir, count, bootId] = process.argv.slice(2);
const log = new ListLog(Number(count));
const engine = await ProjectionEngine.open({
  dir: String(dir),
  log,
  projections: sampleProjections,
  bootId: String(bootId),
});
process.once('message', () => {
  for (let added = 0; added < GROWTH; added++) log.grow(1);
  process.send?.('grown');
});
process.once('disconnect', () => void engine.close());
process.send?.('ready');
