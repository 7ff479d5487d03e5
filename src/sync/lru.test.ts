import { expect, it } from 'vitest';
import { Lru } from './lru.ts';

it('lets go of what was used longest ago', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  expect(lru.get('a')).toBe(1);
  lru.set('c', 3);
  expect([lru.get('a'), lru.get('b'), lru.get('c')]).toEqual([1, undefined, 3]);
  lru.set('c', 4);
  expect([lru.size, lru.get('a'), lru.get('c')]).toEqual([2, 1, 4]);
});

it('holds so much and no more where entries have a weight', () => {
  const lru = new Lru<string, string>(5, (text) => text.length);
  lru.set('a', 'xx');
  lru.set('b', 'xx');
  lru.set('c', 'xx');
  expect([lru.get('a'), lru.get('b'), lru.get('c')]).toEqual([undefined, 'xx', 'xx']);
  lru.set('b', 'x');
  lru.set('d', 'xx');
  expect(lru.size).toBe(3);
  lru.set('b', 'too heavy');
  expect([lru.get('b'), lru.size]).toEqual([undefined, 2]);
});
