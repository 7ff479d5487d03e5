/** Push rules as the specification writes them. https://spec.matrix.org/v1.19/client-server-api/#push-rules */
import type { JsonObject } from '#protocol/pdu.ts';

/** The kinds, most important first. `postcontent` (MSC4306) has rules of the server only. */
export const RULE_KINDS = ['override', 'content', 'postcontent', 'room', 'sender', 'underride'] as const;
export type RuleKind = (typeof RULE_KINDS)[number];

/** `notify`, or `{ set_tweak, value }`. */
export type PushAction = string | JsonObject;

/** A rule as clients see it. */
export interface PushRule {
  readonly rule_id: string;
  /** Whether the server brought it; its id then begins with a dot. */
  readonly default: boolean;
  readonly enabled: boolean;
  readonly actions: readonly PushAction[];
  /** Of `override`, `postcontent` and `underride` rules; all have to hold. */
  readonly conditions?: readonly JsonObject[];
  /** Of `content` rules. */
  readonly pattern?: string;
}

/** All rules of a user, each kind in order of importance. */
export type Ruleset = { readonly [Kind in Exclude<RuleKind, 'postcontent'>]: readonly PushRule[] } & {
  /** Only of users who have followed a thread: clients that know nothing of that go on as before. */
  readonly postcontent?: readonly PushRule[];
};

/** A rule that the user made. */
export interface UserRule {
  readonly rule_id: string;
  readonly enabled: boolean;
  readonly actions: readonly PushAction[];
  readonly conditions?: readonly JsonObject[];
  readonly pattern?: string;
}

/** What a user changed about one of the server's rules. */
export interface DefaultRuleChange {
  readonly enabled?: boolean;
  readonly actions?: readonly PushAction[];
}

/**
 * What a user changed: this, and not the ruleset, is what is kept, so that rules which the server gets later reach users
 * who have changed others.
 */
export interface PushRuleChanges {
  /** The user's rules, most important first. */
  readonly rules: { readonly [Kind in RuleKind]?: readonly UserRule[] };
  /** By id of the server's rule. */
  readonly defaults: { readonly [ruleId: string]: DefaultRuleChange };
  /** Whether the user has followed a thread, and so has the rules that go by it from then on. */
  readonly hasThreads?: boolean;
}

/** The changes of a user who never made any. */
export const NO_CHANGES: PushRuleChanges = { rules: {}, defaults: {} };

/** Whether a text is one of {@link RULE_KINDS}. */
export function isRuleKind(text: string): text is RuleKind {
  return (RULE_KINDS as readonly string[]).includes(text);
}
