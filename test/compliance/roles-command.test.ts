/** `stele roles` and `stele tokens`, beside a running server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SteleProcess } from '#test/support/stele-process.ts';

let stele: SteleProcess;
beforeAll(async () => {
  stele = await SteleProcess.make();
  await stele.start();
}, 60_000);
afterAll(() => stele.remove());

async function run(...args: string[]): Promise<Record<string, unknown>[]> {
  const { status, stdout, stderr } = await stele.run(...args, '--json', '--config', stele.configFile);
  expect(status, stderr).toBe(0);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

it('gives, shows and takes back roles, and makes tokens that are good as long as the role', async () => {
  const alice = await stele.register('alice');
  const asks = async (token: string): Promise<number> => {
    const answer = await fetch(`${stele.url}/_stele/admin/audit?action=role.*`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await answer.arrayBuffer();
    return answer.status;
  };
  expect(await asks(alice.accessToken)).toBe(403);
  const unwilling = await stele.run('roles', 'grant', alice.userId, 'auditor', '--config', stele.configFile);
  expect(unwilling.status).toBe(2);
  const [granted] = await run(
    'roles',
    'grant',
    alice.userId,
    'auditor',
    '--reason',
    'yearly audit',
    '--lifetime',
    '30d',
  );
  expect(await asks(alice.accessToken)).toBe(200);
  expect(await run('roles', 'list')).toMatchObject([
    {
      ...granted,
      user_id: alice.userId,
      role: 'auditor',
      granted_by: expect.stringMatching(/^operator:/),
      in_force: true,
    },
  ]);
  const [made] = await run('tokens', 'create', alice.userId, 'auditor', '--reason', 'a script', '--case', 'A-1');
  expect(await asks(String(made?.['token']))).toBe(200);
  expect(await run('tokens', 'list')).toMatchObject([
    { token_id: made?.['token_id'], reason: 'a script', case_id: 'A-1' },
  ]);
  await run('roles', 'revoke', String(granted?.['grant_id']), '--reason', 'done');
  expect([await asks(alice.accessToken), await asks(String(made?.['token']))]).toEqual([403, 401]);
  await run('tokens', 'revoke', String(made?.['token_id']));
  expect(await run('tokens', 'list')).toEqual([]);
  const again = await stele.run('roles', 'revoke', 'nothing', '--config', stele.configFile);
  expect([again.status, again.stderr]).toEqual([1, expect.stringContaining('no such grant')]);
  expect(await run('audit', '--action', 'role.revoke')).toMatchObject([
    { actor: { kind: 'operator' }, target: { id: alice.userId }, reason: 'done', before: { reason: 'yearly audit' } },
  ]);
}, 240_000);
