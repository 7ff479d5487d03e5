import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { logTo } from '#src/log/logger.ts';
import { type AccountsServer, PASSWORD, startAccounts } from './test-kit.ts';

const SECRET = 'the-shared-secret';

/** Goes through everything that has to do with secrets, well and badly; gives the secrets. */
async function useSecrets(server: AccountsServer): Promise<string[]> {
  const { call } = server;
  const token = await server.accounts.registrationTokens.create({});
  const auth = { type: 'm.login.registration_token', token };
  await call('GET', `/_matrix/client/v1/register/m.login.registration_token/validity?token=${token}`);
  const alice = await server.register('alice', { auth, refresh_token: true });
  const password = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: PASSWORD };
  const other = (await call('POST', '/login', { body: { ...password, refresh_token: true } })).body;
  await call('POST', '/login', { body: { ...password, password: 'wrong-password' } });
  await call('GET', `/account/whoami?access_token=${alice.access_token}`);
  const fresh = (await call('POST', '/refresh', { body: { refresh_token: alice.refresh_token } })).body;
  server.log.refuseWrites('the disk is full');
  await call('GET', '/account/whoami', { token: String(fresh.access_token) });
  await call('POST', '/login', { body: password });
  await call('POST', '/refresh', { body: { refresh_token: other.refresh_token } });
  server.log.refuseWrites(undefined);
  server.log.failNextCommit(new Error('something nobody thought of'));
  await call('POST', '/login', { body: password });
  await call('POST', '/account/password', {
    token: String(fresh.access_token),
    body: { new_password: 'the-new-password', auth: password },
  });
  const nonce = String((await call('GET', '/_synapse/admin/v1/register')).body.nonce);
  const mac = createHmac('sha1', SECRET).update([nonce, 'bob', PASSWORD, 'notadmin'].join('\0')).digest('hex');
  await call('POST', '/_synapse/admin/v1/register', { body: { nonce, username: 'bob', password: PASSWORD, mac } });
  const tokens = [alice, other, fresh].flatMap(({ access_token, refresh_token }) => [access_token, refresh_token]);
  return [...tokens.map(String), token, PASSWORD, 'wrong-password', 'the-new-password', SECRET, mac];
}

test('no secret gets into the log, or into a header', async () => {
  const lines: string[] = [];
  const logger = logTo({ write: (line) => void lines.push(line) }, 'trace');
  const server = await startAccounts({ registration: { token_required: true, shared_secret: SECRET }, logger });
  const headers: string[] = [];
  server.app.addHook('onSend', async (_request, reply) => {
    headers.push(JSON.stringify(reply.getHeaders()));
  });
  try {
    const secrets = await useSecrets(server);
    const said = [...lines, ...headers].join('\n');
    expect(lines.length).toBeGreaterThan(0);
    for (const secret of secrets) expect(said).not.toContain(secret);
  } finally {
    await server.close();
  }
});
