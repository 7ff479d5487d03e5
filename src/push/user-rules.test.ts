import { describe, expect, test } from 'vitest';
import { NO_CHANGES, type PushRuleChanges } from './rules.ts';
import { ruleOf, rulesOf, UnknownRule, withActions, withEnabled, withoutRule, withRule } from './user-rules.ts';

const ALICE = '@alice:example.org';
const ids = (changes: PushRuleChanges, kind: 'override' | 'content' | 'room') =>
  rulesOf(ALICE, changes)
    [kind].filter((one) => kind === 'override' || !one.default)
    .map(({ rule_id }) => rule_id);
const rule = (rule_id: string) => ({ rule_id, actions: ['notify'] });

describe('push rules', () => {
  test('everybody has those of the server', () => {
    const rules = rulesOf(ALICE, NO_CHANGES);
    expect(rules.override[0]).toEqual({
      rule_id: '.m.rule.master',
      default: true,
      enabled: false,
      conditions: [],
      actions: [],
    });
    expect(ruleOf(ALICE, NO_CHANGES, 'override', '.m.rule.invite_for_me')?.conditions).toContainEqual({
      kind: 'event_match',
      key: 'state_key',
      pattern: ALICE,
    });
    expect(rules.underride.map(({ rule_id }) => rule_id)).toEqual([
      '.m.rule.call',
      '.m.rule.encrypted_room_one_to_one',
      '.m.rule.room_one_to_one',
      '.m.rule.message',
      '.m.rule.encrypted',
    ]);
  });

  test("the master rule comes before the user's, the others after", () => {
    const order = ids(withRule(NO_CHANGES, 'override', rule('mine')), 'override');
    expect(order.slice(0, 3)).toEqual(['.m.rule.master', 'mine', '.m.rule.suppress_notices']);
  });

  test('a new rule is the most important unless a place is named', () => {
    let changes = withRule(NO_CHANGES, 'content', rule('a'));
    changes = withRule(changes, 'content', rule('b'));
    changes = withRule(changes, 'content', rule('c'), { after: 'b' });
    changes = withRule(changes, 'content', rule('d'), { before: 'a' });
    expect(ids(changes, 'content')).toEqual(['b', 'c', 'd', 'a']);
    expect(ids(withRule(changes, 'content', rule('a'), { before: 'b' }), 'content')).toEqual(['a', 'b', 'c', 'd']);
    expect(ids(withRule(changes, 'content', rule('e'), { before: 'a', after: 'b' }), 'content')).toEqual([
      'b',
      'c',
      'd',
      'e',
      'a',
    ]);
  });

  test('replacing a rule keeps its place and that it is off', () => {
    let changes = withRule(NO_CHANGES, 'room', rule('!a:x'));
    changes = withRule(changes, 'room', rule('!b:x'));
    changes = withEnabled(changes, 'room', '!a:x', false);
    changes = withRule(changes, 'room', { rule_id: '!a:x', actions: [] });
    expect(rulesOf(ALICE, changes).room).toEqual([
      { rule_id: '!b:x', default: false, enabled: true, actions: ['notify'] },
      { rule_id: '!a:x', default: false, enabled: false, actions: [] },
    ]);
  });

  test("the server's rules can be changed, not removed", () => {
    let changes = withEnabled(NO_CHANGES, 'override', '.m.rule.master', true);
    changes = withActions(changes, 'override', '.m.rule.master', ['notify']);
    expect(ruleOf(ALICE, changes, 'override', '.m.rule.master')).toMatchObject({ enabled: true, actions: ['notify'] });
    expect(() => withoutRule(changes, 'override', '.m.rule.master')).toThrow(UnknownRule);
  });

  test('what is not there cannot be changed, removed or used as a place', () => {
    expect(() => withEnabled(NO_CHANGES, 'room', 'x', true)).toThrow(UnknownRule);
    expect(() => withEnabled(NO_CHANGES, 'room', '.m.rule.master', true)).toThrow(UnknownRule);
    expect(() => withActions(NO_CHANGES, 'override', '.not.a.rule', [])).toThrow(UnknownRule);
    expect(() => withoutRule(NO_CHANGES, 'room', 'x')).toThrow(UnknownRule);
    expect(() => withRule(NO_CHANGES, 'override', rule('a'), { before: '.m.rule.reaction' })).toThrow(UnknownRule);
    expect(() => withRule(NO_CHANGES, 'override', rule('a'), { after: 'a' })).toThrow(UnknownRule);
  });
});
