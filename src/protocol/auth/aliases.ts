import { serverNameOf } from '../identifiers.ts';
import { type AuthInput, quoted, type RuleOutcome, reject } from './types.ts';

/** The rules of `m.room.aliases` where a server decides alone over its own aliases. v1–v5: 4. */
export function checkAliases(event: AuthInput): RuleOutcome {
  // 1.
  if (event.state_key === undefined) {
    return reject('aliasesStateKey', 'An aliases event needs a state_key with the server whose aliases they are.');
  }
  // 2. and 3.
  return event.state_key === serverNameOf(event.sender)
    ? 'allow'
    : reject(
        'aliasesOtherServer',
        `${event.sender} is not on ${quoted(event.state_key)}, whose aliases they would set.`,
      );
}
