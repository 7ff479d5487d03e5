import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Environment } from './environment.ts';
import { ConfigError } from './errors.ts';
import { loadConfig } from './load.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-config-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function load(yaml: string | undefined, environment: Environment = {}) {
  const file = yaml === undefined ? undefined : path.join(folder, 'stele.yaml');
  if (file !== undefined && yaml !== undefined) await writeFile(file, yaml);
  return loadConfig({ file: file === undefined ? undefined : 'stele.yaml', environment, workingDir: folder });
}

async function problems(yaml: string | undefined, environment: Environment = {}): Promise<string[]> {
  try {
    await load(yaml, environment);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim());
    throw error;
  }
  return [];
}

describe('without a file', () => {
  test('a server to try out: localhost on loopback, registration open', async () => {
    const { config, file, warnings } = await load(undefined);
    expect(config).toMatchObject({
      server_name: 'localhost',
      public_base_url: 'http://127.0.0.1:8008',
      data_dir: path.join(folder, 'data'),
      signing_key_file: path.join(folder, 'data', 'signing.key'),
      listeners: [{ bind: '127.0.0.1', port: 8008, serves: ['client', 'federation', 'ops'], tls: null }],
      registration: { open: true, token_required: false, shared_secret: null },
      default_room_version: '12',
      media: { max_upload: 104_857_600 },
      turn: { lifetime: 3_600_000 },
    });
    expect([file, warnings]).toEqual([undefined, []]);
  });

  test('it does not become public by accident', async () => {
    expect(await problems(undefined, { STELE_LISTENERS__0__BIND: '0.0.0.0' })).toEqual([
      'registration.open would let anybody who reaches 0.0.0.0:8008 make accounts, and such servers are soon full of spam. ' +
        'Set registration.token_required: true, or listen on 127.0.0.1 only.',
    ]);
  });
});

describe('a file', () => {
  test('needs only the server name; registration is closed then', async () => {
    const { config, file } = await load('server_name: example.org\n');
    expect(config.registration).toEqual({ open: false, token_required: true, guests: null, shared_secret: null });
    expect(file).toBe(path.join(folder, 'stele.yaml'));
  });

  test('every name of the design is known', async () => {
    const { config, warnings } = await load(`
server_name: example.org
public_base_url: https://matrix.example.org/
data_dir: ./data
listeners:
  - { bind: 127.0.0.1, port: 8008, serves: [client, federation, ops] }
  - { bind: 0.0.0.0, port: 8448, serves: [federation], tls: { cert: tls.crt, key: tls.key } }
signing_key_file: ./data/signing.key
registration: { open: false, token_required: true, shared_secret: null }
rate_limits: { enabled: true }
federation: { enabled: true, verify_tls: true, ca_file: null, allow_private_addresses: false, trusted_key_servers: [] }
appservices: [ ./bridge.yaml ]
default_room_version: "12"
media: { max_upload: 100MiB, url_previews: { enabled: false, allow_private_addresses: false } }
turn: { uris: [], shared_secret: null, lifetime: 1h }
log: { driver: embedded }
bus: { driver: local }
`);
    expect(config.public_base_url).toBe('https://matrix.example.org');
    expect(config.listeners[1]?.tls).toEqual({ cert: path.join(folder, 'tls.crt'), key: path.join(folder, 'tls.key') });
    expect(config.appservices).toEqual([path.join(folder, 'bridge.yaml')]);
    expect(warnings).toEqual(['This version does not run application services; appservices is ignored.']);
  });

  test('everything wrong is said at once, with its line', async () => {
    const found = await problems(`server_name: "not a name"
registration:
  opne: true
  token_required: "yes"
listeners:
  - port: 70000
  - { bind: 127.0.0.1, prot: 1 }
media: { max_upload: big }
turn: { lifetime: 5 }
quux: 1
`);
    expect(found).toEqual([
      'stele.yaml:1: server_name is not a server name such as example.org or example.org:8448',
      'stele.yaml:6: listeners.0.port is wrong: Too big: expected number to be <=65535',
      'stele.yaml:7: listeners.1.prot is no setting; did you mean listeners.1.port?',
      'stele.yaml:4: registration.token_required has to be boolean, not string',
      'stele.yaml:3: registration.opne is no setting; did you mean registration.open?',
      'stele.yaml:8: media.max_upload is not a size such as 100MiB',
      'stele.yaml:9: turn.lifetime is not a duration with a unit, such as 30s or 1h',
      'stele.yaml:10: quux is no setting',
    ]);
  });

  test('aliases that multiply, or name nothing, are a mistake in the file', async () => {
    const grown = 'bcdefgh'.split('').map((name, at) => `${name}: &${name} [${`*${'abcdefg'[at]},`.repeat(9)}]`);
    expect(await problems(['a: &a [x]', ...grown, 'server_name: *h'].join('\n'))).toEqual([
      expect.stringMatching(/^stele\.yaml: its aliases cannot be followed: /),
    ]);
    expect(await problems('server_name: *nobody')).toEqual([expect.stringMatching(/^stele\.yaml.*nobody/)]);
  });

  test('what a later version will do is refused, not ignored', async () => {
    expect(
      await problems('server_name: a.b\nlog: { driver: eventstore, url: "esdb://x" }\nbus: { driver: nats }'),
    ).toEqual([
      'stele.yaml:2: log.driver eventstore is not supported by this version; embedded is',
      'stele.yaml:3: bus.driver nats is not supported by this version; local is',
    ]);
  });

  test('a room version may be written as a number; an unknown one is refused', async () => {
    expect((await load('server_name: a.b\ndefault_room_version: 11')).config.default_room_version).toBe('11');
    expect(await problems('server_name: a.b\ndefault_room_version: "0"')).toEqual([
      expect.stringContaining('stele.yaml:2: default_room_version is not a supported room version'),
    ]);
  });

  test('broken YAML, a missing file and an empty file', async () => {
    expect(await problems('server_name: a.b\nlisteners: [')).toEqual([expect.stringMatching(/^stele\.yaml:\d+: /)]);
    await expect(loadConfig({ file: 'nowhere.yaml', environment: {}, workingDir: folder })).rejects.toThrow(
      'nowhere.yaml: cannot be read: it does not exist',
    );
    expect(await problems('')).toEqual(['stele.yaml: server_name has to be set']);
    expect(await problems('just words')).toEqual([expect.stringContaining('stele.yaml')]);
  });

  test('a public listener without TLS or proxy deserves a word', async () => {
    const { warnings } = await load('server_name: a.b\nlisteners: [{ bind: 0.0.0.0 }]');
    expect(warnings).toEqual([expect.stringContaining('Passwords travel in the clear to 0.0.0.0:8008')]);
    const proxied = await load('server_name: a.b\nlisteners: [{ bind: 0.0.0.0, trusted_proxies: [10.0.0.0/8] }]');
    expect(proxied.warnings).toEqual([]);
  });

  test('two listeners cannot have one port', async () => {
    expect(await problems('server_name: a.b\nlisteners:\n  - { port: 80 }\n  - { port: 80 }')).toEqual([
      'stele.yaml:4: listeners.1.port 80 on 127.0.0.1 is taken by a listener above',
    ]);
  });
});

describe('the environment', () => {
  test('goes over the file', async () => {
    const { config, sources } = await load('server_name: a.b\nregistration: { token_required: true }', {
      STELE_SERVER_NAME: 'c.d',
      STELE_REGISTRATION__OPEN: 'true',
      STELE_REGISTRATION__SHARED_SECRET: '12345',
      STELE_LISTENERS__0__PORT: '0',
      STELE_LISTENERS__1__BIND: '::1',
      STELE_APPSERVICES: '[a.yaml, b.yaml]',
      STELE_PUBLIC_BASE_URL: '',
      STELE_MEDIA__MAX_UPLOAD: '1GiB',
    });
    expect(config.server_name).toBe('c.d');
    expect(config.registration).toEqual({ open: true, token_required: true, guests: null, shared_secret: '12345' });
    expect(config.listeners.map(({ bind, port }) => [bind, port])).toEqual([
      ['127.0.0.1', 0],
      ['::1', 8008],
    ]);
    expect(config.appservices).toHaveLength(2);
    expect(config.media.max_upload).toBe(2 ** 30);
    expect(sources.get('registration.open')).toBe('STELE_REGISTRATION__OPEN');
    expect(sources.get('registration.token_required')).toBe('stele.yaml');
  });

  test('names the file', async () => {
    await writeFile(path.join(folder, 'other.yaml'), 'server_name: other.org');
    const { config } = await load(undefined, { STELE_CONFIG: 'other.yaml' });
    expect(config.server_name).toBe('other.org');
  });

  test('problems name the variable', async () => {
    expect(
      await problems('server_name: a.b', {
        STELE_LISTENERS__0__PORT: 'many',
        STELE_REGISTRATION__OPNE: '1',
        STELE_TURN: '[',
      }),
    ).toEqual([
      'STELE_REGISTRATION__OPNE: registration.opne is no setting; did you mean STELE_REGISTRATION__OPEN?',
      'STELE_TURN: turn is not valid YAML',
      'STELE_LISTENERS__0__PORT: listeners.0.port has to be number, not string',
    ]);
  });

  test("others' variables are left alone; what looks misspelled gets a word", async () => {
    const { warnings } = await load('server_name: a.b', { STELE_DIR: '/x', STELE_SERVERNAME: 'c.d' });
    expect(warnings).toEqual(['STELE_SERVERNAME is no setting; did you mean STELE_SERVER_NAME?']);
  });
});
