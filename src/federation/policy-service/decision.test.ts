import { describe, expect, it } from 'vitest';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { MAX_GLOBS, type PolicyBounds, policyRuleOf, type RuleKind, RuleSet, refusalOf } from './decision.ts';

const NO_BOUNDS: PolicyBounds = { maxMentions: undefined, maxEventBytes: undefined };
const ROOM = '!room:one.example';

const ban = (kind: RuleKind, entity: string, reason?: string) => ({ kind, entity, reason });
const message = (sender: string, content: JsonObject = { body: 'x' }): Partial<Pdu> => ({
  type: 'm.room.message',
  sender,
  content,
});
const member = (sender: string, target: string, membership: string): Partial<Pdu> => ({
  type: 'm.room.member',
  sender,
  state_key: target,
  content: { membership },
});

function judged(pdu: Partial<Pdu>, rules: readonly ReturnType<typeof ban>[], bounds = NO_BOUNDS, sizeBytes = 500) {
  return refusalOf({ pdu: pdu as Pdu, roomId: ROOM, sizeBytes }, new RuleSet(rules), bounds);
}

describe('a rule', () => {
  it('is a ban of somebody, or something', () => {
    expect(policyRuleOf('m.policy.rule.user', { entity: '@a:b', recommendation: 'm.ban', reason: 'spam' })).toEqual(
      ban('user', '@a:b', 'spam'),
    );
    expect(policyRuleOf('m.policy.rule.room', { entity: '!a:b', recommendation: 'm.ban', reason: 1 })).toEqual(
      ban('room', '!a:b', undefined),
    );
  });

  it.each<[string, string, JsonObject]>([
    ['of another type', 'm.policy.rule.planet', { entity: '@a:b', recommendation: 'm.ban' }],
    ['that every object inherits', 'constructor', { entity: '@a:b', recommendation: 'm.ban' }],
    ['that was taken back', 'm.policy.rule.user', {}],
    ['with another recommendation', 'm.policy.rule.user', { entity: '@a:b', recommendation: 'm.warn' }],
    ['about nobody', 'm.policy.rule.user', { entity: '', recommendation: 'm.ban' }],
    ['about a number', 'm.policy.rule.user', { entity: 1, recommendation: 'm.ban' }],
    ['that is too long', 'm.policy.rule.user', { entity: '*'.repeat(513), recommendation: 'm.ban' }],
  ])('%s says nothing', (_what, type, content) => {
    expect(policyRuleOf(type, content)).toBeUndefined();
  });
});

describe('what comes from somebody banned', () => {
  it.each([
    ban('user', '@bad:one.example', 'spam'),
    ban('user', '@ba?:*', 'spam'),
    ban('server', 'one.example', 'spam'),
    ban('server', 'ONE.example', 'spam'),
    ban('server', '*.example', 'spam'),
    ban('room', ROOM, 'spam'),
  ])('is not recommended: %j', (rule) => {
    expect(judged(message('@bad:one.example'), [rule])).toMatch(/: spam$/);
    expect(judged(member('@bad:one.example', '@bad:one.example', 'join'), [rule])).toBeDefined();
  });

  it.each([
    ban('user', '@Bad:one.example'),
    ban('user', 'one.example'),
    ban('server', '@bad:one.example'),
    ban('server', 'ne.example'),
    ban('room', '!other:one.example'),
  ])('is recommended where the rule is about somebody else: %j', (rule) => {
    expect(judged(message('@bad:one.example'), [rule])).toBeUndefined();
  });

  it('is not recommended on whatever port their server is', () => {
    const rules = [ban('server', 'one.example'), ban('server', '[::1]')];
    expect(judged(message('@bad:one.example:8448'), rules)).toBeDefined();
    expect(judged(message('@bad:[::1]:8448'), rules)).toBeDefined();
    expect(judged(message('@bad:one.example:1'), [ban('server', 'one.example:2')])).toBeUndefined();
  });

  it('is recommended if they leave', () => {
    const rules = [ban('user', '@bad:*'), ban('room', '*')];
    expect(judged(member('@bad:one.example', '@bad:one.example', 'leave'), rules)).toBeUndefined();
  });
});

it('whoever is banned is not invited, and is put out', () => {
  const rules = [ban('user', '@bad:*'), ban('server', 'bad.example')];
  expect(judged(member('@mod:one.example', '@bad:two.example', 'invite'), rules)).toBeDefined();
  expect(judged(member('@mod:one.example', '@x:bad.example', 'invite'), rules)).toBeDefined();
  expect(judged(member('@mod:one.example', '@good:two.example', 'invite'), rules)).toBeUndefined();
  for (const membership of ['ban', 'leave']) {
    expect(judged(member('@mod:one.example', '@bad:two.example', membership), rules)).toBeUndefined();
  }
});

it('a message mentions as many people as it may', () => {
  const mentioning = (ids: unknown) => message('@a:one.example', { 'm.mentions': { user_ids: ids } } as JsonObject);
  const bounds = { ...NO_BOUNDS, maxMentions: 2 };
  expect(judged(mentioning(['@b:x', '@c:x', '@d:x']), [], bounds)).toMatch(/at most 2 users/);
  for (const ids of [['@b:x', '@c:x'], ['@b:x', '@b:x', '@b:x'], 'everybody', undefined]) {
    expect(judged(mentioning(ids), [], bounds)).toBeUndefined();
  }
  expect(judged(mentioning(Array.from({ length: 999 }, (_, index) => `@${index}:x`)), [])).toBeUndefined();
});

it('an event is as large as it may be', () => {
  const bounds = { ...NO_BOUNDS, maxEventBytes: 1000 };
  expect(judged(message('@a:one.example'), [], bounds, 1001)).toMatch(/at most 1000 bytes/);
  expect(judged(message('@a:one.example'), [], bounds, 1000)).toBeUndefined();
});

it('more patterns than are looked at are left out, and counted', () => {
  const rules = new RuleSet(Array.from({ length: MAX_GLOBS + 3 }, (_, index) => ban('user', `@${index}*`)));
  expect(rules.leftOut).toBe(3);
  expect(rules.find('user', '@0x:y')).toBeDefined();
});
