import { expect, it } from 'vitest';
import { hasMember, LazyMembers } from './lazy-members.ts';

it('remembers what a device was sent, once it has come back with the token of the answer', () => {
  const sent = new LazyMembers().of('device', '!room', false);
  sent.set('@alice:localhost', { event: 5, inAnswer: 10 });
  expect(hasMember(sent, '@alice:localhost', 5, 10)).toBe(true);
  // It did not get that answer.
  expect(hasMember(sent, '@alice:localhost', 5, 9)).toBe(false);
  // She has another name since.
  expect(hasMember(sent, '@alice:localhost', 8, 10)).toBe(false);
  expect(hasMember(sent, '@bob:localhost', 5, 10)).toBe(false);
});

it('keeps devices and rooms apart, and forgets a device that starts anew', () => {
  const members = new LazyMembers();
  members.of('device', '!room', false).set('@alice:localhost', { event: 5, inAnswer: 10 });
  expect(members.of('device', '!room', false).size).toBe(1);
  expect(members.of('device', '!other', false).size).toBe(0);
  expect(members.of('other', '!room', false).size).toBe(0);
  expect(members.of('device', '!room', true).size).toBe(0);
  expect(members.of('device', '!room', false).size).toBe(0);
});
