import { describe, expect, it, test } from 'vitest';
import type { Event } from '#projections/rooms/queries.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { RuleSurroundings } from './conditions.ts';
import { CompiledRules, type Outcome } from './evaluate.ts';
import { EventFacts, parsePropertyPath } from './event-facts.ts';
import { compileLiteral } from './glob.ts';
import { NO_CHANGES, type PushRuleChanges } from './rules.ts';
import { changesOfStored, rulesOf } from './user-rules.ts';

const ALICE = '@alice:example.org';

interface Given {
  readonly type?: string;
  readonly sender?: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
}

function facts({ type = 'm.room.message', sender = '@bob:example.org', stateKey, content = {} }: Given): EventFacts {
  const event: Event = {
    position: 1,
    room: 0,
    eventId: '$event',
    type,
    sender,
    ...(stateKey !== undefined && { stateKey }),
    originServerTs: 1,
    depth: 1,
    contentJson: JSON.stringify(content),
    stateVersion: 1,
    hasUrl: false,
  };
  return new EventFacts(event, '!room:example.org');
}

const SURROUNDINGS: RuleSurroundings = {
  memberCount: () => 3,
  senderMayNotify: () => true,
  displayName: () => compileLiteral('Ali Baba'),
  isSubscribedTo: () => false,
};

function outcome(
  given: Given,
  changes: PushRuleChanges = NO_CHANGES,
  surroundings: Partial<RuleSurroundings> = {},
): Outcome | undefined {
  const rules = new CompiledRules(rulesOf(ALICE, changes));
  const around = { ...SURROUNDINGS, ...surroundings };
  const found = rules.outcomeOf(facts(given), around);
  expect(rules.weightOf(facts(given), around)).toBe(found?.weight ?? 0);
  return found;
}

const ruleOf = (...given: Parameters<typeof outcome>): string | undefined => outcome(...given)?.ruleId;
const message = (body: string, more: JsonObject = {}): Given => ({ content: { msgtype: 'm.text', body, ...more } });

describe('the rules of the server', () => {
  const MENTION = { 'm.mentions': { user_ids: [ALICE] } };
  const EDIT = { 'm.relates_to': { rel_type: 'm.replace', event_id: '$x' } };
  test.each<[string | undefined, Given]>([
    ['.m.rule.message', message('hello')],
    ['.m.rule.suppress_notices', { content: { msgtype: 'm.notice', body: 'alice' } }],
    ['.m.rule.invite_for_me', { type: 'm.room.member', stateKey: ALICE, content: { membership: 'invite' } }],
    ['.m.rule.member_event', { type: 'm.room.member', stateKey: '@x:example.org', content: { membership: 'invite' } }],
    ['.m.rule.is_user_mention', message('x', MENTION)],
    ['.m.rule.is_room_mention', message('x', { 'm.mentions': { room: true } })],
    ['.m.rule.message', message('x', { 'm.mentions': { room: 'true' } })],
    ['.m.rule.message', message('alice, Ali Baba, @room', { 'm.mentions': {} })],
    ['.m.rule.contains_user_name', message('well, Alice!')],
    ['.m.rule.contains_display_name', message('well, ali baba.')],
    ['.m.rule.roomnotif', message('hey @room')],
    ['.m.rule.message', message('malice')],
    ['.m.rule.tombstone', { type: 'm.room.tombstone', stateKey: '' }],
    [undefined, { type: 'm.room.tombstone' }],
    ['.m.rule.reaction', { type: 'm.reaction' }],
    ['.m.rule.room.server_acl', { type: 'm.room.server_acl', stateKey: '' }],
    ['.m.rule.suppress_edits', message('x', EDIT)],
    ['.m.rule.is_user_mention', message('x', { ...EDIT, ...MENTION })],
    ['.m.rule.call', { type: 'm.call.invite' }],
    ['.m.rule.encrypted', { type: 'm.room.encrypted' }],
    [undefined, { type: 'm.room.topic', stateKey: '' }],
  ])('%s', (rule, given) => {
    expect(ruleOf(given)).toBe(rule);
  });

  it('tell rooms of two', () => {
    const two = { memberCount: () => 2 };
    expect(ruleOf(message('x'), NO_CHANGES, two)).toBe('.m.rule.room_one_to_one');
    expect(ruleOf({ type: 'm.room.encrypted' }, NO_CHANGES, two)).toBe('.m.rule.encrypted_room_one_to_one');
  });

  it('ask for the power to notify a room', () => {
    const powerless = { senderMayNotify: () => false };
    expect(ruleOf(message('hey @room'), NO_CHANGES, powerless)).toBe('.m.rule.message');
    expect(ruleOf(message('x', { 'm.mentions': { room: true } }), NO_CHANGES, powerless)).toBe('.m.rule.message');
  });

  it('give tweaks', () => {
    expect(outcome(message('alice'))).toMatchObject({ weight: 2, tweaks: { sound: 'default', highlight: true } });
    expect(outcome(message('x'))).toMatchObject({ weight: 1, tweaks: {}, actions: ['notify'] });
    expect(outcome({ type: 'm.call.invite' })?.tweaks).toEqual({ sound: 'ring' });
  });

  it('are all off under the master rule', () => {
    const changes = { rules: {}, defaults: { '.m.rule.master': { enabled: true } } };
    expect(outcome(message('alice'), changes)).toMatchObject({ ruleId: '.m.rule.master', weight: 0 });
  });

  it('do not count the members where it makes no difference', () => {
    const rules = new CompiledRules(rulesOf(ALICE, NO_CHANGES));
    let counted = 0;
    const around = { ...SURROUNDINGS, memberCount: () => (counted += 1) };
    expect(rules.weightOf(facts(message('x')), around)).toBe(1);
    expect(counted).toBe(0);
    const quiet = { rules: {}, defaults: { '.m.rule.message': { enabled: false } } };
    expect(new CompiledRules(rulesOf(ALICE, quiet)).weightOf(facts(message('x')), around)).toBe(0);
    expect(counted).toBe(1);
  });
});

/** An override rule of the user's with one condition. */
function withCondition(condition: unknown): PushRuleChanges {
  const rule = { rule_id: 'mine', enabled: true, actions: [], conditions: [condition] };
  return changesOfStored({ rules: { override: [rule] }, defaults: {} });
}

describe('conditions', () => {
  const given: Given = {
    type: 'm.room.message',
    content: {
      body: 'x',
      'a.b': { 'c\\d': 'Value', n: 7, t: true, z: null, f: 1.5, list: ['x', 1, null, { x: 1 }] },
      deep: { er: 'yes' },
      empty: '',
    },
  };
  test.each<[boolean, unknown]>([
    [true, { kind: 'event_match', key: 'content.deep.er', pattern: 'Y?s' }],
    [true, { kind: 'event_match', key: 'content.a\\.b.c\\\\d', pattern: 'value' }],
    [false, { kind: 'event_match', key: 'content.a.b.c\\d', pattern: 'value' }],
    [false, { kind: 'event_match', key: 'content.deep', pattern: '*' }],
    [false, { kind: 'event_match', key: 'content.missing', pattern: '*' }],
    [false, { kind: 'event_match', key: 'content.constructor.name', pattern: '*' }],
    [false, { kind: 'event_match', key: 'content.a\\.b.n', pattern: '7' }],
    [true, { kind: 'event_match', key: 'content.empty', pattern: '' }],
    [true, { kind: 'event_match', key: 'sender', pattern: '@bob:*' }],
    [true, { kind: 'event_match', key: 'room_id', pattern: '!ROOM:example.org' }],
    [true, { kind: 'event_match', key: 'type', pattern: 'm.room.*' }],
    [true, { kind: 'event_match', key: 'type', pattern: 'M.Room.Message' }],
    [false, { kind: 'event_match', key: 'type', pattern: 'm.room.other' }],
    [false, { kind: 'event_match', key: 'state_key', pattern: '*' }],
    [false, { kind: 'event_match', key: 'content.deep.er' }],
    [false, { kind: 'event_match', key: 7, pattern: 'x' }],
    [true, { kind: 'event_property_is', key: 'content.a\\.b.n', value: 7 }],
    [true, { kind: 'event_property_is', key: 'content.a\\.b.t', value: true }],
    [true, { kind: 'event_property_is', key: 'content.a\\.b.z', value: null }],
    [false, { kind: 'event_property_is', key: 'content.missing', value: null }],
    [false, { kind: 'event_property_is', key: 'content.a\\.b.n', value: '7' }],
    [false, { kind: 'event_property_is', key: 'content.a\\.b.f', value: 1.5 }],
    [false, { kind: 'event_property_is', key: 'content.deep.er', value: 'YES' }],
    [false, { kind: 'event_property_is', key: 'content.deep', value: { er: 'yes' } }],
    [false, { kind: 'event_property_is', key: 'content.missing' }],
    [true, { kind: 'event_property_contains', key: 'content.a\\.b.list', value: 'x' }],
    [true, { kind: 'event_property_contains', key: 'content.a\\.b.list', value: null }],
    [false, { kind: 'event_property_contains', key: 'content.a\\.b.list', value: '1' }],
    [false, { kind: 'event_property_contains', key: 'content.body', value: 'x' }],
    [true, { kind: 'room_member_count', is: '3' }],
    [true, { kind: 'room_member_count', is: '==3' }],
    [true, { kind: 'room_member_count', is: '<=3' }],
    [true, { kind: 'room_member_count', is: '>2' }],
    [false, { kind: 'room_member_count', is: '<3' }],
    [false, { kind: 'room_member_count', is: '>=4' }],
    [false, { kind: 'room_member_count', is: '=3' }],
    [false, { kind: 'room_member_count', is: '3.0' }],
    [false, { kind: 'room_member_count', is: 3 }],
    [false, { kind: 'sender_notification_permission' }],
    [false, { kind: 'unheard_of' }],
    [false, {}],
  ])('%s: %j', (holds, condition) => {
    expect(ruleOf(given, withCondition(condition)) === 'mine').toBe(holds);
  });

  it('all have to hold', () => {
    const conditions = [{ kind: 'event_match', key: 'type', pattern: 'm.room.message' }, { kind: 'unheard_of' }];
    const rule = { rule_id: 'mine', enabled: true, actions: [], conditions };
    expect(ruleOf(given, { rules: { override: [rule] }, defaults: {} })).toBe('.m.rule.message');
  });

  it('read paths as they are escaped', () => {
    expect(parsePropertyPath('content.m\\.relates_to').names).toEqual(['content', 'm.relates_to']);
    expect(parsePropertyPath('content.m\\\\foo').names).toEqual(['content', 'm\\foo']);
    expect(parsePropertyPath('content.\\x.').names).toEqual(['content', '\\x', '']);
    expect(parsePropertyPath('a\\').names).toEqual(['a\\']);
  });
});

describe("the user's rules", () => {
  const rule = (rule_id: string, actions: unknown[], more: object = {}) => ({
    rule_id,
    enabled: true,
    actions,
    ...more,
  });

  it('come in the order of their kinds', () => {
    const rules: Record<string, unknown[]> = {
      underride: [rule('under', ['notify'], { conditions: [] })],
      sender: [rule('@bob:example.org', ['notify'])],
      room: [rule('!room:example.org', ['notify'])],
      content: [rule('cake', ['notify'], { pattern: 'c?ke' })],
      override: [rule('over', ['notify'], { conditions: [] })],
    };
    const order: (string | undefined)[] = [];
    for (const kind of ['override', 'content', 'room', 'sender', 'underride']) {
      order.push(ruleOf(message('cake'), changesOfStored({ rules, defaults: {} })));
      delete rules[kind];
    }
    expect(order).toEqual(['over', 'cake', '!room:example.org', '@bob:example.org', 'under']);
  });

  it('do what their actions say, the historical ones nothing', () => {
    const weight = (...actions: unknown[]) =>
      outcome(message('x'), changesOfStored({ rules: { room: [rule('!room:example.org', actions)] } }))?.weight;
    expect(weight('notify', { set_tweak: 'highlight', value: false })).toBe(1);
    expect(weight({ set_tweak: 'highlight' })).toBe(0);
    expect(weight('dont_notify')).toBe(0);
    expect(weight('coalesce')).toBe(0);
    expect(weight('notify', 'dont_notify', 7, null, { set_tweak: 7 })).toBe(1);
  });

  it.each<[unknown]>([
    [null],
    [[]],
    ['text'],
    [{ rules: 7, defaults: [] }],
    [{ rules: { override: {}, room: [null, 7, {}, { rule_id: 'x' }] }, defaults: { '.m.rule.message': 7 } }],
    [{ rules: { override: [{ rule_id: 'x', enabled: true, actions: [], conditions: 'x' }] } }],
    [{ rules: { content: [{ rule_id: 'x', enabled: true, actions: [] }] } }],
    [{ rules: { override: [{ rule_id: 'x', enabled: true, actions: [], conditions: [null, 'x', [[]]] }] } }],
  ])('that are stored as %j are passed over', (stored) => {
    expect(ruleOf(message('x'), changesOfStored(stored))).toBe('.m.rule.message');
  });
});
