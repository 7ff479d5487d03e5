import { describe, expect, test } from 'vitest';
import { ZodError } from 'zod';
import { compileEventFields, parsePath } from './event-fields.ts';
import { compileFilter, compileRoomEventFilter, NO_FILTER } from './filter.ts';
import { compileGlobs } from './glob.ts';

const event = (type: string, sender = '@alice:example.org', hasUrl = false) => ({ type, sender, hasUrl });

describe('type patterns', () => {
  test.each([
    ['m.room.*', 'm.room.message', true],
    ['m.room.*', 'm.reaction', false],
    ['*', '', true],
    ['m.*.message', 'm.room.message', true],
    ['m.*.message', 'm.message', false],
    ['*room*', 'm.room.name', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*bc*bc', 'abcbc', true],
    ['a*bc*bc', 'abc', false],
    ['m.room.message', 'm_room_message', false],
    ['**', 'x', true],
  ])('%s on %s', (pattern, text, matches) => {
    expect(compileGlobs([pattern])(text)).toBe(matches);
  });

  test('a hostile pattern takes no time', () => {
    const match = compileGlobs([`${'*a'.repeat(500)}*b`]);
    expect(match('a'.repeat(100_000))).toBe(false);
  });
});

describe('a room event filter', () => {
  test('what is excluded is out even where it is included', () => {
    const filter = compileRoomEventFilter({
      types: ['m.room.*'],
      not_types: ['m.room.name'],
      senders: ['@alice:example.org', '@bob:example.org'],
      not_senders: ['@bob:example.org'],
    });
    expect(filter.matches(event('m.room.message'))).toBe(true);
    expect(filter.matches(event('m.room.name'))).toBe(false);
    expect(filter.matches(event('m.reaction'))).toBe(false);
    expect(filter.matches(event('m.room.message', '@bob:example.org'))).toBe(false);
    expect(filter.matches(event('m.room.message', '@carol:example.org'))).toBe(false);
    expect(filter.passesAll).toBe(false);
  });

  test('an empty list admits nothing, an empty exclusion everything', () => {
    expect(compileRoomEventFilter({ types: [] })).toMatchObject({ passesNone: true });
    expect(compileRoomEventFilter({ types: [] }).matches(event('a'))).toBe(false);
    expect(compileRoomEventFilter({ not_types: ['*'] })).toMatchObject({ passesNone: true });
    expect(compileRoomEventFilter({ not_types: [], not_senders: [] })).toMatchObject({ passesAll: true });
  });

  test('contains_url looks for the key', () => {
    const withUrl = event('m.room.message', '@a:b', true);
    const without = event('m.room.message', '@a:b', false);
    expect([withUrl, without].map(compileRoomEventFilter({ contains_url: true }).matches)).toEqual([true, false]);
    expect([withUrl, without].map(compileRoomEventFilter({ contains_url: false }).matches)).toEqual([false, true]);
  });

  test('rooms', () => {
    const filter = compileRoomEventFilter({ rooms: ['!a:x', '!b:x'], not_rooms: ['!b:x'] });
    expect(['!a:x', '!b:x', '!c:x'].map(filter.matchesRoom)).toEqual([true, false, false]);
  });

  test('what has no sender passes unless senders are asked for', () => {
    expect(compileRoomEventFilter({ not_senders: ['@a:b'] }).matches({ type: 'm.typing' })).toBe(true);
    expect(compileRoomEventFilter({ senders: ['@a:b'] }).matches({ type: 'm.typing' })).toBe(false);
  });
});

describe('a filter', () => {
  test('has the defaults of the specification', () => {
    expect(NO_FILTER.eventFormat).toBe('client');
    expect(NO_FILTER.selectFields).toBeUndefined();
    expect(NO_FILTER.room.includeLeave).toBe(false);
    expect(NO_FILTER.room.state).toMatchObject({
      limit: undefined,
      passesAll: true,
      passesNone: false,
      lazyLoadMembers: false,
      includeRedundantMembers: false,
      unreadThreadNotifications: false,
    });
  });

  test('ignores members that it does not know', () => {
    expect(() => compileFilter({ room: { timeline: { 'org.example.rel_types': ['x'] } }, new_thing: 1 })).not.toThrow();
  });

  test.each([
    { presence: 'not_an_object' },
    { room: { timeline: 'not_an_object' } },
    { room: { timeline: null } },
    { room: { timeline: { rooms: 'not_a_list' } } },
    { room: { timeline: { types: [0] } } },
    { room: { timeline: { rooms: ['not_a_room_id'] } } },
    { room: { timeline: { senders: ['not_a_sender_id'] } } },
    { room: { timeline: { limit: -1 } } },
    { room: { timeline: { limit: 1.5 } } },
    { room: { state: { lazy_load_members: 'yes' } } },
    { event_format: 'html' },
    { event_fields: 'content' },
    [],
    'text',
    null,
  ])('%j is refused', (value) => {
    expect(() => compileFilter(value)).toThrow(ZodError);
  });
});

describe('event fields', () => {
  test('paths with escapes', () => {
    expect(parsePath('content.m\\.relates_to.x')).toEqual(['content', 'm.relates_to', 'x']);
    expect(parsePath('content.m\\\\foo')).toEqual(['content', 'm\\foo']);
    expect(parsePath('a\\x')).toEqual(['a\\x']);
  });

  test('keeps what is named and nothing else', () => {
    const select = compileEventFields(['type', 'content.body', 'content.m\\.relates_to', 'content.m\\.relates_to.x']);
    const content = { body: 'hello', secret: 1, 'm.relates_to': { x: 1, y: 2 } };
    expect(select({ type: 't', sender: '@a:b', content })).toEqual({
      type: 't',
      content: { body: 'hello', 'm.relates_to': { x: 1, y: 2 } },
    });
  });

  test('does not reach for what objects inherit', () => {
    const selected = compileEventFields(['constructor', '__proto__', 'content.toString'])({ content: {} });
    expect(Object.getPrototypeOf(selected)).toBe(Object.prototype);
    expect(JSON.stringify(selected)).toBe('{"content":{}}');
  });
});
