import type { RoomVersionRules } from '../room-version.ts';
import type { AuthVerdict, Rejection } from './types.ts';

const ALLOWED: AuthVerdict = { allowed: true };

/**
 * What the rules came to, with the number that the room version gives the rule that rejected.
 * Source: the room version's "Authorisation rules".
 */
export function verdict(rejection: Rejection | undefined, rules: RoomVersionRules): AuthVerdict {
  if (rejection === undefined) return ALLOWED;
  return { allowed: false, rule: rules.authorization.ruleNumbers[rejection.rule], reason: rejection.reason };
}
