import { describe, expect, test } from 'vitest';
import {
  isEventId,
  isHashRoomId,
  isKeyId,
  isNewUserLocalpart,
  isRoomAlias,
  isRoomId,
  isRoomIdWithDomain,
  isServerName,
  isUserId,
  localpartOf,
  parseKeyId,
  parseServerName,
  parseUserId,
  serverNameOf,
} from './identifiers.ts';

const HASH = 'Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg';

describe('server names', () => {
  test.each([
    ['matrix.org', 'matrix.org', 'dns', undefined],
    ['matrix.org:8888', 'matrix.org', 'dns', 8888],
    ['localhost', 'localhost', 'dns', undefined],
    ['MATRIX.ORG', 'MATRIX.ORG', 'dns', undefined],
    ['1.2.3.4', '1.2.3.4', 'ipv4', undefined],
    ['1.2.3.4:1234', '1.2.3.4', 'ipv4', 1234],
    ['1.2.3.4.5', '1.2.3.4.5', 'dns', undefined],
    ['[1234:5678::abcd]', '1234:5678::abcd', 'ipv6', undefined],
    ['[1234:5678::abcd]:5678', '1234:5678::abcd', 'ipv6', 5678],
    ['[::]', '::', 'ipv6', undefined],
    ['[::1]', '::1', 'ipv6', undefined],
    ['[1::]', '1::', 'ipv6', undefined],
    ['[1:2:3:4:5:6:7:8]', '1:2:3:4:5:6:7:8', 'ipv6', undefined],
    ['[::ffff:1.2.3.4]', '::ffff:1.2.3.4', 'ipv6', undefined],
    ['[1:2:3:4:5:6:1.2.3.4]', '1:2:3:4:5:6:1.2.3.4', 'ipv6', undefined],
  ])('%s', (text, host, kind, port) => {
    expect(parseServerName(text)).toEqual({ host, kind, port });
  });

  test.each([
    '',
    ':8448',
    'matrix.org:',
    'matrix.org:123456',
    'matrix.org:65536',
    'matrix.org:80a',
    'matrix.org:80:80',
    'exa_mple.org',
    'exämple.org',
    'matrix.org ',
    'matrix.org\n',
    'a/b',
    '256.1.1.1',
    '[]',
    '[:]',
    '[1]',
    '[1:2:3:4:5:6:7]',
    '[1:2:3:4:5:6:7:8:9]',
    '[1::2::3]',
    '[1:2:3:4:5:6:7::8]x',
    '[:::]',
    '[12345::]',
    '[::1.2.3]',
    '[1.2.3.4::]',
    '[::256.1.1.1]',
    '::1',
    'x'.repeat(256),
  ])('%j is none', (text) => {
    expect(isServerName(text)).toBe(false);
  });
});

describe('user ids', () => {
  test.each([
    ['@alice:example.org', true],
    ['@a.b_c=d-e/f+1:example.org:8448', true],
    ['@Alice:example.org', true],
    ['@al!ce*:example.org', true],
    ['@älice:example.org', true],
    ['@:example.org', true],
    ['@al ice:example.org', true],
    ['@al\u0001ice:example.org', true],
    ['@alice:[::1]:80', true],
    ['@al\u0000ice:example.org', false],
    ['@al\ud83dice:example.org', false],
    ['@alice', false],
    ['@alice:', false],
    ['@alice:exa mple.org', false],
    ['@alice::8448', false],
    ['alice:example.org', false],
    ['!alice:example.org', false],
    ['', false],
  ])('%j is a user id, if only of old: %s', (text, expected) => {
    expect(isUserId(text)).toBe(expected);
  });

  test('are taken apart at the first colon', () => {
    expect(parseUserId('@alice:example.org:8448')).toEqual({ localpart: 'alice', serverName: 'example.org:8448' });
  });

  test('are at most 255 bytes long, not characters', () => {
    const domain = ':example.org';
    expect(isUserId(`@${'a'.repeat(254 - domain.length)}${domain}`)).toBe(true);
    expect(isUserId(`@${'a'.repeat(255 - domain.length)}${domain}`)).toBe(false);
    expect(isUserId(`@${'é'.repeat(121)}${domain}`)).toBe(true);
    expect(isUserId(`@${'é'.repeat(122)}${domain}`)).toBe(false);
  });

  test.each(['', 'Alice', 'al ice', 'älice', 'a:b', 'a@b'])('%j is no localpart for a new user', (localpart) => {
    expect(isNewUserLocalpart(localpart)).toBe(false);
  });
});

describe('room ids, aliases, event ids', () => {
  test.each([
    ['!abc:example.org', true, false],
    ['!:example.org', true, false],
    ['!a b:example.org', true, false],
    [`!${HASH}`, false, true],
    [`!${HASH}:example.org`, true, false],
    [`!${HASH}x`, false, false],
    [`!${HASH.replace('-', '+')}`, false, false],
    ['!abc', false, false],
    ['!abc:', false, false],
    [`$${HASH}`, false, false],
    ['', false, false],
  ])('%s: with domain %s, from a hash %s', (text, withDomain, fromHash) => {
    expect([isRoomIdWithDomain(text), isHashRoomId(text), isRoomId(text)]).toEqual([
      withDomain,
      fromHash,
      withDomain || fromHash,
    ]);
  });

  test.each([
    ['#room:example.org', true],
    ['#a room!:example.org:80', true],
    ['#room', false],
    ['#ro\u0000om:example.org', false],
    ['room:example.org', false],
  ])('%j is an alias: %s', (text, expected) => {
    expect(isRoomAlias(text)).toBe(expected);
  });

  test.each([
    [`$${HASH}`, true],
    ['$143273582443PhrSn:example.org', true],
    ['$', false],
    [HASH, false],
    [`$${'a'.repeat(254)}`, true],
    [`$${'a'.repeat(255)}`, false],
    ['$a\u0000', false],
  ])('%j is an event id: %s', (text, expected) => {
    expect(isEventId(text)).toBe(expected);
  });
});

test('serverNameOf and localpartOf', () => {
  expect(serverNameOf('@alice:example.org:8448')).toBe('example.org:8448');
  expect(serverNameOf(`!${HASH}`)).toBeUndefined();
  expect(localpartOf('@alice:example.org:8448')).toBe('alice');
  expect(localpartOf(`!${HASH}`)).toBe(HASH);
});

test.each([
  ['ed25519:a_1', true],
  ['ed25519:auto', true],
  ['ed25519:', false],
  ['ed25519', false],
  ['ed25519:a-b', false],
  [`ed25519:${'a'.repeat(255)}`, false],
])('%s is a key id: %s', (text, expected) => {
  expect(isKeyId(text)).toBe(expected);
  if (expected) expect(parseKeyId(text)?.algorithm).toBe('ed25519');
});
