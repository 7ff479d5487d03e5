/**
 * The engine of push rules: a user's rules compiled, and what they say of an event.
 * https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import {
  bodyMatch,
  type Condition,
  type CountTest,
  compileCondition,
  type RuleSurroundings,
  type Test,
} from './conditions.ts';
import { LEGACY_MENTION_RULES, PERSONAL_RULES } from './default-rules.ts';
import { type EventFacts, MAX_SHARED_TESTS } from './event-facts.ts';
import { type PushAction, type PushRule, RULE_KINDS, type RuleKind, type Ruleset } from './rules.ts';

/** What counts of a rule's actions: 0 does not notify, 1 notifies, 2 notifies and highlights. */
export type Weight = 0 | 1 | 2;
export const SILENT = 0;
export const NOTIFIES = 1;
export const HIGHLIGHTS = 2;

/** What a rule that matched an event says. */
export interface Outcome {
  readonly ruleId: string;
  readonly weight: Weight;
  /** As the user has them; without the historical ones, which say nothing. */
  readonly actions: readonly PushAction[];
  readonly tweaks: Readonly<Record<string, JsonValue>>;
}

interface CompiledRule {
  readonly outcome: Outcome;
  /** The type that an event must have, in lower case; undefined for a rule that is for any. */
  readonly type: string | undefined;
  readonly tests: readonly Test[];
  readonly countTests: readonly CountTest[];
  /** Names the tests among those that are the same for all users; undefined for tests of this user alone. */
  readonly sharedId: number | undefined;
}

/** Types of events for which the rules that may match are remembered. */
const MAX_TYPES_REMEMBERED = 64;

/** All enabled rules of one user, in the order in which they are tried. */
export class CompiledRules {
  readonly #rules: readonly CompiledRule[];
  readonly #byType = new Map<string, readonly CompiledRule[]>();

  constructor(rules: Ruleset) {
    this.#rules = RULE_KINDS.flatMap((kind) => (rules[kind] ?? []).flatMap((rule) => compileRule(kind, rule) ?? []));
  }

  /** What the first rule that matches says; undefined if none does. */
  outcomeOf(facts: EventFacts, surroundings: RuleSurroundings): Outcome | undefined {
    for (const rule of this.#rulesFor(facts.event.type)) {
      if (holds(rule, facts, surroundings) && countHolds(rule, surroundings)) return rule.outcome;
    }
    return undefined;
  }

  /** The weight of {@link outcomeOf}, without counting members where their number makes no difference. */
  weightOf(facts: EventFacts, surroundings: RuleSurroundings): Weight {
    let undecided: CompiledRule[] | undefined;
    let weight: Weight = SILENT;
    for (const rule of this.#rulesFor(facts.event.type)) {
      if (!holds(rule, facts, surroundings)) continue;
      if (rule.countTests.length === 0) {
        weight = rule.outcome.weight;
        break;
      }
      undecided ??= [];
      undecided.push(rule);
    }
    if (undecided === undefined) return weight;
    // From the least important one up: what is below each is decided already.
    for (const rule of undecided.reverse()) {
      if (rule.outcome.weight !== weight && countHolds(rule, surroundings)) weight = rule.outcome.weight;
    }
    return weight;
  }

  /** Whether no event of a type can notify, whatever it says. */
  isSilentAbout(type: string): boolean {
    return this.#rulesFor(type).every(({ outcome }) => outcome.weight === SILENT);
  }

  #rulesFor(type: string): readonly CompiledRule[] {
    const known = this.#byType.get(type);
    if (known !== undefined) return known;
    const lowered = type.toLowerCase();
    const rules = this.#rules.filter((rule) => rule.type === undefined || rule.type === lowered);
    if (this.#byType.size >= MAX_TYPES_REMEMBERED) this.#byType.clear();
    this.#byType.set(type, rules);
    return rules;
  }
}

/** Whether all conditions of a rule hold, the number of members aside. */
function holds({ tests, sharedId }: CompiledRule, facts: EventFacts, surroundings: RuleSurroundings): boolean {
  if (sharedId === undefined) return allHold(tests, facts, surroundings);
  return facts.ask(sharedId, () => allHold(tests, facts, surroundings));
}

function allHold(tests: readonly Test[], facts: EventFacts, surroundings: RuleSurroundings): boolean {
  for (const test of tests) if (!test(facts, surroundings)) return false;
  return true;
}

function countHolds({ countTests }: CompiledRule, surroundings: RuleSurroundings): boolean {
  for (const test of countTests) if (!test(surroundings.memberCount())) return false;
  return true;
}

/** The tests of the server's rules that are the same for everybody, by rule id. */
const sharedIds = new Map<string, number>();

function sharedIdOf({ default: isDefault, rule_id: ruleId }: PushRule): number | undefined {
  if (!isDefault || PERSONAL_RULES.has(ruleId)) return undefined;
  const known = sharedIds.get(ruleId);
  if (known !== undefined || sharedIds.size >= MAX_SHARED_TESTS) return known;
  const id = sharedIds.size;
  sharedIds.set(ruleId, id);
  return id;
}

/** Undefined for a rule that never matches. */
function compileRule(kind: RuleKind, rule: PushRule): CompiledRule | undefined {
  if (rule.enabled !== true) return undefined;
  const conditions = conditionsOf(kind, rule);
  if (conditions === undefined) return undefined;
  const tests: Test[] = [];
  if (LEGACY_MENTION_RULES.has(rule.rule_id)) tests.push((facts) => !facts.saysMentions);
  const countTests: CountTest[] = [];
  let type: string | undefined;
  for (const condition of conditions) {
    if (condition.kind === 'test') tests.push(condition.test);
    else if (condition.kind === 'memberCount') countTests.push(condition.test);
    // No event has two types.
    else if (type !== undefined && type !== condition.type) return undefined;
    else type = condition.type;
  }
  return { outcome: outcomeOf(rule), type, tests, countTests, sharedId: sharedIdOf(rule) };
}

function conditionsOf(kind: RuleKind, rule: PushRule): readonly Condition[] | undefined {
  switch (kind) {
    case 'override':
    case 'postcontent':
    case 'underride':
      return allConditions(rule.conditions ?? []);
    case 'content':
      return typeof rule.pattern === 'string' ? [bodyMatch(rule.pattern)] : undefined;
    case 'room':
      return [{ kind: 'test', test: (facts) => facts.roomId === rule.rule_id }];
    case 'sender':
      return [{ kind: 'test', test: (facts) => facts.event.sender === rule.rule_id }];
  }
}

function allConditions(conditions: unknown): readonly Condition[] | undefined {
  if (!Array.isArray(conditions)) return undefined;
  const compiled: Condition[] = [];
  for (const one of conditions) {
    const condition = compileCondition(one);
    if (condition === undefined) return undefined;
    compiled.push(condition);
  }
  return compiled;
}

function outcomeOf({ rule_id: ruleId, actions: given }: PushRule): Outcome {
  const actions: PushAction[] = [];
  const tweaks = new Map<string, JsonValue>();
  let notifies = false;
  for (const action of Array.isArray(given) ? (given as readonly unknown[]) : []) {
    if (action === 'notify') {
      notifies = true;
      actions.push(action);
    } else if (isTweak(action)) {
      actions.push(action);
      // A highlight without a value is one (client-server API, "Actions"); so it is taken for other tweaks.
      tweaks.set(action.set_tweak, action.value ?? true);
    }
  }
  const isHighlight = tweaks.get('highlight') === true;
  const weight = !notifies ? SILENT : isHighlight ? HIGHLIGHTS : NOTIFIES;
  return { ruleId, weight, actions, tweaks: Object.fromEntries(tweaks) };
}

function isTweak(action: unknown): action is JsonObject & { readonly set_tweak: string } {
  return isJsonObject(action) && typeof action.set_tweak === 'string';
}
