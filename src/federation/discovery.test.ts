import { describe, expect, it } from 'vitest';
import { Discovery } from './discovery.ts';
import { orderSrv, type SrvRecord } from './srv.ts';

interface World {
  readonly wellKnown?: Record<string, string>;
  readonly srv?: Record<string, SrvRecord[] | 'fails'>;
}

function discovery({ wellKnown = {}, srv = {} }: World) {
  const asked: string[] = [];
  let nowMs = 0;
  const made = new Discovery({
    delegationOf: async (host) => {
      asked.push(`well-known ${host}`);
      return wellKnown[host];
    },
    lookupSrv: async (name) => {
      asked.push(`srv ${name}`);
      const records = srv[name] ?? [];
      if (records === 'fails') throw new Error('SERVFAIL');
      return records;
    },
    clock: () => nowMs,
    random: () => 0,
  });
  return {
    made,
    asked,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

const record = (name: string, port: number, priority = 10, weight = 5): SrvRecord => ({ name, port, priority, weight });

describe('a name that says it all is not looked for', () => {
  it.each([
    ['1.2.3.4', '1.2.3.4', 8448],
    ['1.2.3.4:99', '1.2.3.4', 99],
    ['[2001:db8::1]', '2001:db8::1', 8448],
    ['[2001:db8::1]:99', '2001:db8::1', 99],
    ['matrix.example:99', 'matrix.example', 99],
  ])('%s', async (serverName, host, port) => {
    const { made, asked } = discovery({ wellKnown: { 'matrix.example': 'other.example' } });
    expect(await made.routeTo(serverName)).toEqual({
      targets: [{ host, port }],
      certName: host,
      hostHeader: serverName,
    });
    expect(asked).toEqual([]);
  });
});

describe('a name without a port', () => {
  it('follows a delegation to an address', async () => {
    const { made } = discovery({ wellKnown: { 'a.example': '1.2.3.4' } });
    expect(await made.routeTo('a.example')).toEqual({
      targets: [{ host: '1.2.3.4', port: 8448 }],
      certName: '1.2.3.4',
      hostHeader: '1.2.3.4',
    });
  });

  it('follows a delegation to a host and port without asking for SRV records', async () => {
    const { made, asked } = discovery({ wellKnown: { 'a.example': 'm.example:443' } });
    expect(await made.routeTo('a.example')).toEqual({
      targets: [{ host: 'm.example', port: 443 }],
      certName: 'm.example',
      hostHeader: 'm.example:443',
    });
    expect(asked).toEqual(['well-known a.example']);
  });

  it('follows a delegation to a host with SRV records, which do not change the certificate', async () => {
    const { made } = discovery({
      wellKnown: { 'a.example': 'm.example' },
      srv: { '_matrix-fed._tcp.m.example': [record('far.example', 1234)] },
    });
    expect(await made.routeTo('a.example')).toEqual({
      targets: [{ host: 'far.example', port: 1234 }],
      certName: 'm.example',
      hostHeader: 'm.example',
    });
  });

  it('follows a delegation to a bare host on 8448', async () => {
    const { made, asked } = discovery({ wellKnown: { 'a.example': 'm.example' } });
    expect(await made.routeTo('a.example')).toEqual({
      targets: [{ host: 'm.example', port: 8448 }],
      certName: 'm.example',
      hostHeader: 'm.example',
    });
    expect(asked).toEqual(['well-known a.example', 'srv _matrix-fed._tcp.m.example', 'srv _matrix._tcp.m.example']);
  });

  it('takes the registered service name before the old one', async () => {
    const { made } = discovery({
      srv: {
        '_matrix-fed._tcp.a.example': [record('new.example', 1)],
        '_matrix._tcp.a.example': [record('old.example', 2)],
      },
    });
    expect((await made.routeTo('a.example')).targets).toEqual([{ host: 'new.example', port: 1 }]);
  });

  it('takes the old service name where there is no other, and where the look-up of the other fails', async () => {
    const { made } = discovery({
      srv: { '_matrix-fed._tcp.a.example': 'fails', '_matrix._tcp.a.example': [record('old.example', 2)] },
    });
    expect(await made.routeTo('a.example')).toEqual({
      targets: [{ host: 'old.example', port: 2 }],
      certName: 'a.example',
      hostHeader: 'a.example',
    });
  });

  it('is on 8448 if nothing says otherwise', async () => {
    const { made } = discovery({});
    expect(await made.routeTo('a.example')).toEqual({
      targets: [{ host: 'a.example', port: 8448 }],
      certName: 'a.example',
      hostHeader: 'a.example',
    });
  });

  it('has no server if its SRV record says so', async () => {
    const { made } = discovery({ srv: { '_matrix-fed._tcp.a.example': [record('.', 0)] } });
    await expect(made.routeTo('a.example')).rejects.toMatchObject({ kind: 'unreachable', destination: 'a.example' });
  });
});

it('refuses what is no server name', async () => {
  await expect(discovery({}).made.routeTo('a.example/x')).rejects.toMatchObject({ kind: 'refused' });
});

it('remembers for five minutes, asks once at a time, and forgets when told to', async () => {
  const { made, asked, advance } = discovery({});
  await Promise.all([made.routeTo('a.example'), made.routeTo('a.example')]);
  await made.routeTo('a.example');
  expect(asked).toHaveLength(3);
  advance(5 * 60_000);
  await made.routeTo('a.example');
  expect(asked).toHaveLength(6);
  made.forget('a.example');
  await made.routeTo('a.example');
  expect(asked).toHaveLength(9);
});

it('orders SRV records by priority, and by chance within one', () => {
  const records = [record('c', 3, 20), record('a', 1, 10, 1), record('b', 2, 10, 99)];
  const hosts = (random: number) => orderSrv(records, () => random).map(({ host }) => host);
  expect(hosts(0)).toEqual(['a', 'b', 'c']);
  expect(hosts(0.5)).toEqual(['b', 'a', 'c']);
  expect(
    orderSrv(
      Array.from({ length: 50 }, (_, n) => record(`h${n}`, 1)),
      () => 0,
    ),
  ).toHaveLength(8);
});
