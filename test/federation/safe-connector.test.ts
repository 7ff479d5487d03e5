import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { Agent, request } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { type SafeConnectorOptions, safeConnector, safeDialer } from '#src/net/safe-connector.ts';
import { answerJson, startTlsPeer, TEST_CA, type TLS_FILES, type TlsPeer } from '#test/support/tls-peer.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function peer(answer: RequestListener, certificate?: keyof typeof TLS_FILES): Promise<TlsPeer> {
  const made = await startTlsPeer(answer, certificate);
  closers.push(made.close);
  return made;
}

function get(url: string, options: Partial<SafeConnectorOptions>): Promise<unknown> {
  const agent = new Agent({ connect: safeConnector({ allowPrivate: false, ca: TEST_CA, ...options }) });
  closers.push(() => agent.destroy());
  return request(url, { dispatcher: agent }).then(({ body }) => body.json());
}

describe('where it goes', () => {
  it('refuses a literal loopback address without a connection', async () => {
    const there = await peer(answerJson({}));
    await expect(get(`https://127.0.0.1:${there.port}/`, {})).rejects.toMatchObject({ name: 'AddressRefused' });
    await expect(get(`https://[::ffff:127.0.0.1]:${there.port}/`, {})).rejects.toMatchObject({
      name: 'AddressRefused',
    });
    expect(there.connections).toBe(0);
  });

  it.each(['http', 'https'])('refuses a name that leads into the own network, over %s', async (scheme) => {
    const there = await peer(answerJson({}));
    const lookup = async () => ['127.0.0.1', '::1', '10.0.0.1'];
    await expect(get(`${scheme}://one.test:${there.port}/`, { lookup })).rejects.toMatchObject({
      name: 'AddressRefused',
    });
    expect(there.connections).toBe(0);
  });

  it('connects to what it checked, though the name leads elsewhere the next moment', async () => {
    const there = await peer(answerJson({}));
    const answers = [['203.0.113.1'], ['127.0.0.1']];
    let asked = 0;
    const lookup = async () => answers[asked++] ?? [];
    // 203.0.113.1 is not public either: the first answer is the only one that counts.
    await expect(get(`https://one.test:${there.port}/`, { lookup })).rejects.toMatchObject({ name: 'AddressRefused' });
    expect(asked).toBe(1);
    expect(there.connections).toBe(0);
  });

  it('leaves out the private ones of several addresses', async () => {
    const there = await peer(answerJson({}));
    const lookup = async () => ['127.0.0.1', '192.0.3.255'];
    const failure = get(`https://one.test:${there.port}/`, { lookup, timeoutMs: 50 });
    await expect(failure).rejects.toSatisfy((error: Error) => error.name !== 'AddressRefused');
    expect(there.connections).toBe(0);
  });

  it('goes into the own network where that is allowed', async () => {
    const there = await peer(answerJson({ hello: 'there' }));
    const lookup = async () => ['127.0.0.1'];
    expect(await get(`https://one.test:${there.port}/`, { allowPrivate: true, lookup })).toEqual({ hello: 'there' });
    expect(there.serverNames).toEqual(['one.test']);
  });

  it('says that a name has no address', async () => {
    await expect(get('https://one.test/', { lookup: async () => [] })).rejects.toMatchObject({
      name: 'NameNotResolved',
    });
  });
});

describe('whom it believes', () => {
  const lookup = async () => ['127.0.0.1'];

  it('a certificate for the name, of an authority that it knows', async () => {
    const there = await peer(answerJson({}), 'stranger');
    await expect(get(`https://one.test:${there.port}/`, { allowPrivate: true, lookup })).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect(there.requests).toEqual([]);
  });

  it('no authority that it does not know', async () => {
    const there = await peer(answerJson({}));
    await expect(
      get(`https://one.test:${there.port}/`, { allowPrivate: true, lookup, ca: undefined }),
    ).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  });

  it('a certificate for an address, without naming one', async () => {
    const there = await peer(answerJson({ ok: 1 }));
    expect(await get(`https://127.0.0.1:${there.port}/`, { allowPrivate: true })).toEqual({ ok: 1 });
    expect(there.serverNames).toEqual([false]);
  });

  it('anybody, where it is told not to look', async () => {
    const there = await peer(answerJson({ ok: 1 }), 'stranger');
    const options = { allowPrivate: true, lookup, verifyTls: false };
    expect(await get(`https://one.test:${there.port}/`, options)).toEqual({ ok: 1 });
  });

  it('the name that the caller expects, not the one it connects to', async () => {
    const there = await peer(answerJson({}));
    const dial = safeDialer({ allowPrivate: true, ca: TEST_CA, lookup });
    const target = { host: 'srv.elsewhere', port: there.port };
    (await dial({ ...target, certName: 'two.test' })).destroy();
    await expect(dial({ ...target, certName: 'srv.elsewhere' })).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });
});

it('does not wait for ever for a handshake', async () => {
  const silent = createServer(() => {});
  silent.listen(0, '127.0.0.1');
  await new Promise((resolve) => silent.once('listening', resolve));
  closers.push(async () => silent.close());
  const dial = safeDialer({ allowPrivate: true, timeoutMs: 50 });
  const { port } = silent.address() as AddressInfo;
  await expect(dial({ host: '127.0.0.1', port, certName: 'one.test' })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
});
