export { AuthChainCycleError, AuthChainTooLargeError } from './errors.ts';
export { MAX_AUTH_CHAIN_EVENTS, plainAuthGraph } from './plain-auth-graph.ts';
export { differenceOf, resolveDifference, resolveStates, type StateEntry } from './resolve.ts';
export {
  type AuthGraph,
  type ConflictedKey,
  type EventLookup,
  type Resolution,
  type ResolutionContext,
  type ResolutionEvent,
  type ResolutionStep,
  type ResolvedKey,
  resolutionEventOf,
  type SharedState,
  type StateDifference,
} from './types.ts';
