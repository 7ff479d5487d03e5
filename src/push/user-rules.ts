/** A user's push rules: the server's and the user's own together, and how each request changes them. All of it is pure. */
import { isJsonObject } from '#protocol/json-object.ts';
import { defaultRules, MASTER_RULE_ID } from './default-rules.ts';
import {
  type DefaultRuleChange,
  type PushAction,
  type PushRule,
  type PushRuleChanges,
  RULE_KINDS,
  type RuleKind,
  type Ruleset,
  type UserRule,
} from './rules.ts';

/**
 * What is stored of a user's changes, made safe: rules and changes that are none are left out, whatever an import or an
 * earlier version left behind.
 */
export function changesOfStored(stored: unknown): PushRuleChanges {
  const { rules, defaults, hasThreads } = isJsonObject(stored) ? stored : {};
  const kinds: { [Kind in RuleKind]?: readonly UserRule[] } = {};
  for (const kind of RULE_KINDS) {
    if (kind === 'postcontent') continue;
    const ofKind = isJsonObject(rules) ? rules[kind] : undefined;
    if (Array.isArray(ofKind)) kinds[kind] = ofKind.filter(isUserRule) as unknown as readonly UserRule[];
  }
  const changed = Object.entries(isJsonObject(defaults) ? defaults : {}).filter(([, change]) => isChange(change));
  return {
    rules: kinds,
    defaults: Object.fromEntries(changed) as PushRuleChanges['defaults'],
    ...(hasThreads === true && { hasThreads }),
  };
}

/** All rules of a user, each kind in order of importance. */
export function rulesOf(userId: string, changes: PushRuleChanges): Ruleset {
  const defaults = defaultRules(userId);
  const rulesOfKind = (kind: RuleKind): PushRule[] => {
    const ours = defaults[kind].map((rule) => ({ ...rule, ...ownChange(changes, rule.rule_id) }));
    const users = (changes.rules[kind] ?? []).map((rule) => ({ ...rule, default: false }));
    const first = ours.filter((rule) => rule.rule_id === MASTER_RULE_ID);
    return [...first, ...users, ...ours.filter((rule) => rule.rule_id !== MASTER_RULE_ID)];
  };
  return {
    override: rulesOfKind('override'),
    content: rulesOfKind('content'),
    ...(changes.hasThreads && { postcontent: rulesOfKind('postcontent') }),
    room: rulesOfKind('room'),
    sender: rulesOfKind('sender'),
    underride: rulesOfKind('underride'),
  };
}

/** One rule of a user, or undefined if there is none. */
export function ruleOf(userId: string, changes: PushRuleChanges, kind: RuleKind, ruleId: string): PushRule | undefined {
  return rulesOf(userId, changes)[kind]?.find((rule) => rule.rule_id === ruleId);
}

/** Where a new rule goes: just before or just after another one of the user's; of both, `before` says it exactly. */
export interface RulePlace {
  readonly before?: string;
  readonly after?: string;
}

/** There is no rule of this id, or none that the request may name. */
export class UnknownRule extends Error {
  override readonly name = 'UnknownRule';
  readonly ruleId: string;
  constructor(ruleId: string) {
    super(`There is no push rule ${ruleId}.`);
    this.ruleId = ruleId;
  }
}

/**
 * Makes a rule or replaces the one of its id. A new one is the most important of the user's unless a place is given; one
 * that is replaced keeps its place, and whether it is enabled.
 *
 * @throws {UnknownRule} if the place names no rule of the user.
 */
export function withRule(
  changes: PushRuleChanges,
  kind: RuleKind,
  rule: Omit<UserRule, 'enabled'>,
  place: RulePlace = {},
): PushRuleChanges {
  const rules = changes.rules[kind] ?? [];
  const index = rules.findIndex(({ rule_id }) => rule_id === rule.rule_id);
  const complete: UserRule = { ...rule, enabled: rules[index]?.enabled ?? true };
  if (place.before === undefined && place.after === undefined) {
    return withRules(changes, kind, index === -1 ? [complete, ...rules] : rules.with(index, complete));
  }
  const others = rules.filter(({ rule_id }) => rule_id !== rule.rule_id);
  const at = placeAmong(others, place);
  return withRules(changes, kind, others.toSpliced(at, 0, complete));
}

/** Removes a rule of the user's. @throws {UnknownRule} */
export function withoutRule(changes: PushRuleChanges, kind: RuleKind, ruleId: string): PushRuleChanges {
  const rules = changes.rules[kind] ?? [];
  const others = rules.filter(({ rule_id }) => rule_id !== ruleId);
  if (others.length === rules.length) throw new UnknownRule(ruleId);
  return withRules(changes, kind, others);
}

/** Turns a rule, the user's or the server's, on or off. @throws {UnknownRule} */
export function withEnabled(
  changes: PushRuleChanges,
  kind: RuleKind,
  ruleId: string,
  enabled: boolean,
): PushRuleChanges {
  return withChange(changes, kind, ruleId, { enabled });
}

/** Gives a rule, the user's or the server's, other actions. @throws {UnknownRule} */
export function withActions(
  changes: PushRuleChanges,
  kind: RuleKind,
  ruleId: string,
  actions: readonly PushAction[],
): PushRuleChanges {
  return withChange(changes, kind, ruleId, { actions });
}

/** Gives the user the rules that go by which threads they follow. */
export function withThreads(changes: PushRuleChanges): PushRuleChanges {
  return { ...changes, hasThreads: true };
}

/** How many rules the user has made. */
export function countOfRules({ rules }: PushRuleChanges): number {
  return RULE_KINDS.reduce((sum, kind) => sum + (rules[kind]?.length ?? 0), 0);
}

function withChange(
  changes: PushRuleChanges,
  kind: RuleKind,
  ruleId: string,
  change: DefaultRuleChange,
): PushRuleChanges {
  if (ruleId.startsWith('.')) {
    // Which ids there are does not depend on the user.
    const isThere = kind !== 'postcontent' || changes.hasThreads === true;
    if (!isThere || !defaultRules('')[kind].some(({ rule_id }) => rule_id === ruleId)) throw new UnknownRule(ruleId);
    return { ...changes, defaults: { ...changes.defaults, [ruleId]: { ...ownChange(changes, ruleId), ...change } } };
  }
  const rules = changes.rules[kind] ?? [];
  const index = rules.findIndex(({ rule_id }) => rule_id === ruleId);
  const rule = rules[index];
  if (rule === undefined) throw new UnknownRule(ruleId);
  return withRules(changes, kind, rules.with(index, { ...rule, ...change }));
}

function withRules(changes: PushRuleChanges, kind: RuleKind, rules: readonly UserRule[]): PushRuleChanges {
  return { ...changes, rules: { ...changes.rules, [kind]: rules } };
}

function placeAmong(rules: readonly UserRule[], { before, after }: RulePlace): number {
  const indexOf = (ruleId: string): number => {
    const index = rules.findIndex(({ rule_id }) => rule_id === ruleId);
    if (index === -1) throw new UnknownRule(ruleId);
    return index;
  };
  const afterIndex = after === undefined ? 0 : indexOf(after) + 1;
  return before === undefined ? afterIndex : indexOf(before);
}

function ownChange({ defaults }: PushRuleChanges, ruleId: string): DefaultRuleChange {
  return Object.hasOwn(defaults, ruleId) ? (defaults[ruleId] ?? {}) : {};
}

function isUserRule(rule: unknown): boolean {
  if (!isJsonObject(rule)) return false;
  const { rule_id, enabled, conditions, pattern, actions } = rule;
  return (
    typeof rule_id === 'string' &&
    typeof enabled === 'boolean' &&
    Array.isArray(actions) &&
    (conditions === undefined || Array.isArray(conditions)) &&
    (pattern === undefined || typeof pattern === 'string')
  );
}

function isChange(change: unknown): boolean {
  if (!isJsonObject(change)) return false;
  const { enabled, actions } = change;
  return (enabled === undefined || typeof enabled === 'boolean') && (actions === undefined || Array.isArray(actions));
}
