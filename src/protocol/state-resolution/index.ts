export { AuthChainCycleError, AuthChainTooLargeError } from './errors.ts';
export { plainAuthGraph } from './plain-auth-graph.ts';
export { differenceOf, resolveDifference, resolveStates, type StateEntry } from './resolve.ts';
export {
  type AuthGraph,
  type ConflictedKey,
  type Resolution,
  type ResolutionContext,
  type ResolutionEvent,
  type ResolvedKey,
  resolutionEventOf,
  type SharedState,
  type StateDifference,
} from './types.ts';
