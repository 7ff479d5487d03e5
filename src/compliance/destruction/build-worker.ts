/** A thread that builds the tables of requests anew, while the server goes on. */
import { constants, setPriority } from 'node:os';
import { workerData } from 'node:worker_threads';
import { coreProjections } from '#projections/catalogue.ts';
import { Applier } from '#projections/engine/applier.ts';
import { Environment } from '#projections/engine/environment.ts';
import { Gatherer } from '#projections/engine/gatherer.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { openLogReadOnly } from '#streams/open-log.ts';

/** What the thread is told. */
export interface BuildOrder {
  /** Of the empty environment. */
  readonly path: string;
  readonly logFolder: string;
}

// What waits for the server goes first; but this too comes to an end on a machine that is never idle. Elsewhere it would be the
// priority of the whole server.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

const { path, logFolder } = workerData as BuildOrder;
const log = await openLogReadOnly({ folder: logFolder });
try {
  const environment = new Environment({ path, projections: coreProjections });
  try {
    const applier = new Applier(environment, coreProjections);
    const gatherer = new Gatherer();
    for await (const records of log.readAll(BEFORE_FIRST)) {
      gatherer.add(records);
      if (gatherer.isFull) applier.apply(gatherer.take());
    }
    applier.apply(gatherer.take());
  } finally {
    await environment.close();
  }
} finally {
  await log.close();
}
