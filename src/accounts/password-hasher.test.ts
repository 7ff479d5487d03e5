import { expect, test } from 'vitest';
import { PasswordHasher } from './password-hasher.ts';

const CHEAP = { opsLimit: 1, memoryLimitBytes: 8192 };

test('a password is kept as argon2id of the recommended cost, and verified', async () => {
  const hasher = new PasswordHasher();
  const hash = await hasher.hash('pässwörd 🔑');
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  expect(await hasher.verify(hash, 'pässwörd 🔑')).toBe(true);
  expect(await hasher.verify(hash, 'password')).toBe(false);
});

test('one password has another hash each time', async () => {
  const hasher = new PasswordHasher(CHEAP);
  expect(await hasher.hash('same')).not.toBe(await hasher.hash('same'));
});

test('nobody has the empty password, or one where there is no hash', async () => {
  const hasher = new PasswordHasher(CHEAP);
  const hash = await hasher.hash('decoy');
  expect(await hasher.verify(null, 'decoy')).toBe(false);
  expect(await hasher.verify(undefined, 'anything')).toBe(false);
  expect(await hasher.verify(hash, '')).toBe(false);
  await expect(hasher.hash('')).rejects.toBeInstanceOf(RangeError);
});

test('a password is the same however its letters are composed', async () => {
  const hasher = new PasswordHasher(CHEAP);
  expect(await hasher.verify(await hasher.hash('caf\u00e9 \ufb01'), 'cafe\u0301 fi')).toBe(true);
});

test('a password with a NUL is not its beginning', async () => {
  const hasher = new PasswordHasher(CHEAP);
  const hash = await hasher.hash('abc\0def');
  expect(await hasher.verify(hash, 'abc')).toBe(false);
  expect(await hasher.verify(hash, 'abc\0def')).toBe(true);
});

test('no more run at once, and no more wait, than it says', async () => {
  const hasher = new PasswordHasher({ ...CHEAP, maxConcurrent: 1, maxWaiting: 2 });
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => hasher.hash('x')));
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected']);
  expect(outcomes[4]).toMatchObject({ reason: { errcode: 'M_LIMIT_EXCEEDED', headers: { 'retry-after': '5' } } });
  expect(await hasher.hash('x')).toContain('$argon2id$');
});

test('an unknown user costs as much as a known one', async () => {
  const hasher = new PasswordHasher();
  await hasher.warmUp();
  const hash = await hasher.hash('right');
  const timeOf = async (stored: string | null) => {
    const times = [];
    for (let n = 0; n < 9; n += 1) {
      const start = performance.now();
      await hasher.verify(stored, 'wrong');
      times.push(performance.now() - start);
    }
    return times.toSorted((a, b) => a - b)[0] ?? 0;
  };
  const [known, unknown] = [await timeOf(hash), await timeOf(null)];
  // The fastest of several runs is hardly disturbed by what else runs here; without the same work the ratio would be a hundred.
  expect(Math.max(known, unknown) / Math.min(known, unknown)).toBeLessThan(3);
});
