export { authEventTypes, checkAuthEvents, type NamedAuthEvent } from './auth-events.ts';
export { checkAuth } from './check-auth.ts';
export type { AuthRule, AuthRuleNumbers } from './rule-numbers.ts';
export type { AuthEvent, AuthInput, AuthVerdict, StateEventType, StateLookup } from './types.ts';
