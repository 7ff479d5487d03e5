/** The push rules of a user as they are stored: what the user changed, as account data. */
import type { Context } from '#src/context.ts';
import { invalidParam, MatrixError, notFound } from '#src/http/errors.ts';
import { isRuleKind, type PushRule, type PushRuleChanges, type RuleKind, type Ruleset } from '#src/push/rules.ts';
import { ruleOf, rulesOf, UnknownRule } from '#src/push/user-rules.ts';
import { accountDataDraft, PUSH_RULES_TYPE, pushRuleChangesOf } from '../account-data/entries.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';

/** A user's rules. */
export function storedRules({ reader }: Pick<Context, 'reader'>, userId: string): Ruleset {
  return rulesOf(userId, pushRuleChangesOf(reader, userId));
}

/** One rule. @throws {MatrixError} `M_INVALID_PARAM` for an unknown kind, `M_NOT_FOUND`. */
export function storedRule(
  { reader }: Pick<Context, 'reader'>,
  userId: string,
  kind: string,
  ruleId: string,
): PushRule {
  const rule = ruleOf(userId, pushRuleChangesOf(reader, userId), requireKind(kind), ruleId);
  if (rule === undefined) throw notFound('There is no such push rule.');
  return rule;
}

/**
 * Changes what is stored.
 * @throws {MatrixError} `M_NOT_FOUND` where the change names a rule that is not there; `M_TOO_LARGE`.
 */
export async function changeRules(
  context: UserStreamContext,
  userId: string,
  change: (changes: PushRuleChanges) => PushRuleChanges,
): Promise<void> {
  await changeUser(context, userId, () => {
    const before = pushRuleChangesOf(context.reader, userId);
    const after = changed(before, change);
    if (JSON.stringify(after) === JSON.stringify(before)) return [];
    return [accountDataDraft(context, userId, undefined, PUSH_RULES_TYPE, after)];
  });
}

/** @throws {MatrixError} `M_INVALID_PARAM` */
export function requireKind(kind: string): RuleKind {
  if (!isRuleKind(kind)) throw invalidParam('The kind of a push rule is override, content, room, sender or underride.');
  return kind;
}

function changed(before: PushRuleChanges, change: (changes: PushRuleChanges) => PushRuleChanges): PushRuleChanges {
  try {
    return change(before);
  } catch (error) {
    if (error instanceof UnknownRule) throw new MatrixError('M_NOT_FOUND', error.message);
    throw error;
  }
}
