import { describe, expect, it } from 'vitest';
import type { Config, ListenerConfig } from '#src/config/schema.ts';
import { delegatedName } from './delegated-name.ts';

const proxied: ListenerConfig = {
  bind: '127.0.0.1',
  port: 8008,
  serves: ['client', 'federation', 'ops'],
  tls: null,
  trusted_proxies: [],
};
const clientsOnly: ListenerConfig = { ...proxied, serves: ['client', 'ops'] };
const direct: ListenerConfig = {
  ...proxied,
  bind: '0.0.0.0',
  port: 8448,
  serves: ['federation'],
  tls: { cert: 'c', key: 'k' },
};

function nameOf(serverName: string, base: string, listeners: readonly ListenerConfig[]): string | undefined {
  return delegatedName({ server_name: serverName, public_base_url: base, listeners } as unknown as Config);
}

describe('a domain delegates', () => {
  it('to where its clients go, if servers are answered there too', () => {
    expect(nameOf('example.org', 'https://matrix.example.org', [proxied])).toBe('matrix.example.org:443');
    expect(nameOf('example.org', 'https://matrix.example.org:8443', [proxied, direct])).toBe('matrix.example.org:8443');
  });

  it('to the port with a certificate, if servers are only answered there', () => {
    expect(nameOf('example.org', 'https://matrix.example.org', [clientsOnly, direct])).toBe('matrix.example.org:8448');
  });
});

describe('a domain does not delegate', () => {
  it.each([
    ['if its name has a port', 'example.org:8448', 'https://matrix.example.org', [proxied]],
    ['if its name is an address', '1.2.3.4', 'https://matrix.example.org', [proxied]],
    ['if its clients come without TLS', 'example.org', 'http://127.0.0.1:8008', [proxied]],
    ['if servers are answered nowhere', 'example.org', 'https://matrix.example.org', [clientsOnly]],
    [
      'if servers are answered on this machine only',
      'example.org',
      'https://matrix.example.org',
      [clientsOnly, { ...direct, bind: '127.0.0.1' }],
    ],
  ] satisfies [string, string, string, ListenerConfig[]][])('%s', (_why, serverName, base, listeners) => {
    expect(nameOf(serverName, base, listeners)).toBeUndefined();
  });
});
