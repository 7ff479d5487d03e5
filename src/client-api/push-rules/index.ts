import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deletePushRule } from './delete-push-rule.ts';
import { getGlobalPushRules } from './get-global-push-rules.ts';
import { getPushRule } from './get-push-rule.ts';
import { getPushRuleActions } from './get-push-rule-actions.ts';
import { getPushRuleEnabled } from './get-push-rule-enabled.ts';
import { getPushRules } from './get-push-rules.ts';
import { getPushRulesOfKind } from './get-push-rules-of-kind.ts';
import { putPushRule } from './put-push-rule.ts';
import { putPushRuleActions } from './put-push-rule-actions.ts';
import { putPushRuleEnabled } from './put-push-rule-enabled.ts';
import { unknownPushRulePaths } from './unknown-paths.ts';

/** What users want to be notified of. */
export const pushRuleEndpoints: readonly Endpoint<Context>[] = [
  getPushRules,
  getGlobalPushRules,
  getPushRulesOfKind,
  getPushRule,
  putPushRule,
  deletePushRule,
  getPushRuleEnabled,
  putPushRuleEnabled,
  getPushRuleActions,
  putPushRuleActions,
  ...unknownPushRulePaths,
];
