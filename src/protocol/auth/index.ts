export { authEventTypes, checkAuthEvents, type NamedAuthEvent } from './auth-events.ts';
export { checkAuth } from './check-auth.ts';
export type { AuthEvent, AuthInput, AuthVerdict, StateLookup } from './types.ts';
