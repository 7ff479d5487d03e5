/** Registration by token, as an operator and a newcomer go through it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SteleProcess } from '#test/support/stele-process.ts';

let stele: SteleProcess;
beforeAll(async () => {
  stele = await SteleProcess.make({ registration: { open: true, token_required: true } });
});
afterAll(() => stele.remove());

const newToken = (...args: string[]) => stele.run('users', 'token', ...args, '--config', stele.configFile);

async function register(username: string, token: string): Promise<number> {
  const answer = await fetch(`${stele.url}/_matrix/client/v3/register`, {
    method: 'POST',
    body: JSON.stringify({
      username,
      password: 'correct horse battery',
      auth: { type: 'm.login.registration_token', token },
    }),
  });
  await answer.arrayBuffer();
  return answer.status;
}

test('tokens are made while the server is down and while it runs, and let people in as often as they say', async () => {
  const before = await newToken('welcome-2', '--uses', '2', '--json');
  expect(before).toMatchObject({ status: 0, stdout: '{"token":"welcome-2"}\n' });
  await stele.start();
  const during = await newToken('--lifetime', '7d');
  expect(during).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\S{24}\n$/) });
  const once = during.stdout.trim();
  expect([await register('one', once), await register('two', once)]).toEqual([200, 401]);
  const statuses = [];
  for (const name of ['three', 'four', 'five']) statuses.push(await register(name, 'welcome-2'));
  expect(statuses).toEqual([200, 200, 401]);
  await stele.stop('SIGKILL');
  await stele.start();
  expect(await register('six', 'welcome-2')).toBe(401);
});

test('what makes no sense is refused', async () => {
  for (const args of [
    ['--uses', '0'],
    ['--lifetime', '7'],
  ]) {
    expect((await newToken(...args)).status).toBe(2);
  }
  expect(await newToken('not a token')).toMatchObject({ status: 1, stdout: '' });
});
