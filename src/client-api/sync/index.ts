import { sync } from './sync.ts';

/** Everything about being told what is new. */
export const syncEndpoints = [sync];
