/** The thread of the search index. */
import { workerData } from 'node:worker_threads';
import { hostIndex, type IndexHostOptions } from './index-host.ts';

await hostIndex(workerData as IndexHostOptions);
