/** The thread of the search index. */
import { constants, setPriority } from 'node:os';
import { workerData } from 'node:worker_threads';
import { hostIndex, type IndexHostOptions } from './index-host.ts';

// The index may lag, what waits for the server may not: on Linux this is the priority of the thread alone. Elsewhere it would be
// that of the whole server.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_LOW);

await hostIndex(workerData as IndexHostOptions);
