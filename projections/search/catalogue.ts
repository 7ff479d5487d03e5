/** The projections that may lag behind the log: an environment and a checkpoint of their own, in a thread of their own. */
import { checkNames, type Projection } from '#projections/engine/projection.ts';
import { userDirectoryProjection } from '#projections/user-directory/projection.ts';
import { searchProjection } from './projection.ts';
import { timesProjection } from './times.ts';

/** Apart from the other catalogue, so that the thread loads no more than it needs. */
export const searchProjections: readonly Projection[] = [searchProjection, timesProjection, userDirectoryProjection];

checkNames(searchProjections);
