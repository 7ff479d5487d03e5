import { expect, it } from 'vitest';
import { type OperatorSigns, operatorName } from './operator-name.ts';

const PASSWD = 'root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n';

it.each<[string, Partial<OperatorSigns>, string]>([
  ['themselves', { username: 'ann', loginUid: '1000\n' }, 'ann'],
  ['root, from their own login', { username: 'root', loginUid: '1000\n' }, 'ann as root'],
  [
    'root who says that they are somebody else',
    { username: 'root', loginUid: '1000\n', sudoUser: 'bob' },
    'ann as root',
  ],
  ['a service', { username: 'stele', loginUid: '4294967295\n' }, 'stele'],
  ['root where the kernel says nothing', { username: 'root', loginUid: '4294967295', sudoUser: 'bob' }, 'bob as root'],
  ['root on a system without login uids', { username: 'root', loginUid: undefined, sudoUser: 'bob' }, 'bob as root'],
  ['somebody of a directory', { username: 'root', loginUid: '70001' }, 'uid 70001 as root'],
])('names %s', (_who, signs, name) => {
  expect(operatorName({ username: '', loginUid: undefined, passwd: PASSWD, sudoUser: undefined, ...signs })).toBe(name);
});

it('names whoever runs this', () => {
  expect(operatorName()).not.toBe('');
});
