import { slidingSync } from './sliding-sync.ts';

/** Being told what is new in the rooms that a client wants to know of. */
export const slidingSyncEndpoints = [slidingSync];
