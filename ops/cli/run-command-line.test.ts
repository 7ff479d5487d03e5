import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Environment } from '#src/config/environment.ts';
import { COMMANDS } from './commands.ts';
import { implicitOptions } from './help.ts';
import { runCommandLine } from './run-command-line.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-cli-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function stele(commandLine: string, environment: Environment = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const status = await runCommandLine(commandLine.split(' ').filter(Boolean), {
    print: (line) => out.push(line),
    say: (line) => err.push(line),
    signal: new AbortController().signal,
    environment,
    workingDir: folder,
  });
  return { status, out: out.join('\n'), err: err.join('\n') };
}

describe('help', () => {
  test('lists every verb', async () => {
    for (const line of ['help', '--help', '-h']) {
      const { status, out } = await stele(line);
      expect(status).toBe(0);
      for (const name of Object.keys(COMMANDS)) expect(out).toContain(`\n  ${name} `);
    }
  });

  test('nothing at all is wrong usage, and shows help', async () => {
    const { status, out, err } = await stele('');
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain('usage: stele VERB');
  });

  test.each(Object.keys(COMMANDS))('%s has help of its own', async (name) => {
    const asked = await stele(`help ${name}`);
    const option = await stele(`${name} --help`);
    expect([asked.status, option.status]).toEqual([0, 0]);
    expect(asked.out).toBe(option.out);
    expect(asked.out).toContain(`usage: stele ${name}`);
    expect(asked.out).toContain('--help');
  });

  test.each(Object.entries(COMMANDS))(
    'the examples of %s are of it, and of options that it has',
    async (name, load) => {
      const { command } = await load();
      const { out } = await stele(`help ${name}`);
      for (const example of command.examples ?? []) {
        expect(example.startsWith(name)).toBe(true);
        expect(out).toContain(`  stele ${example}`);
        const [own = ''] = example.split(' | ');
        for (const [, option = ''] of own.matchAll(/ --([a-z-]+)/g)) {
          expect({ ...command.options, ...implicitOptions(command) }).toHaveProperty(option);
        }
      }
    },
  );
});

describe('every verb', () => {
  test.each(Object.entries(COMMANDS))(
    '%s says what it is for, what each option does, and how to begin',
    async (name, load) => {
      const { command } = await load();
      expect(command.name).toBe(name);
      expect(command.summary).toMatch(/^[A-Z].*[^.]$/);
      for (const { description } of Object.values(command.options)) expect(description).toMatch(/^\w.*[^.]$/);
      if (name !== 'version') expect(command.examples?.length ?? 0).toBeGreaterThan(0);
    },
  );

  test.each(Object.entries(COMMANDS))('%s has --json if it prints data', async (name, load) => {
    const { command } = await load();
    const source = await readFile(new URL(`./commands/${name.replaceAll(' ', '-')}.ts`, import.meta.url), 'utf8');
    const printsData = /\bprint[(,)]/.test(source);
    expect('json' in implicitOptions(command)).toBe(printsData);
    if (printsData && command.printsData !== 'json') expect(source).toMatch(/\bjson\b/);
  });

  test.each(Object.keys(COMMANDS))(
    '%s turns down what it does not know with status 2, and offers help',
    async (name) => {
      const { status, out, err } = await stele(`${name} --xyzzy`);
      expect([status, out]).toEqual([2, '']);
      expect(err).toContain('unknown option --xyzzy');
      expect(err).toContain(`stele help ${name}`);
    },
  );
});

test('an id that begins with a dash is an argument, and the value of an option', async () => {
  const argument = await stele('config explain -FaQw54mWiwc');
  expect(argument.err).toContain('-FaQw54mWiwc');
  expect(argument.err).not.toContain('unknown option');
  const value = await stele('config check --config -FaQw54mWiwc.yaml');
  expect(value.err).toContain('-FaQw54mWiwc.yaml');
  expect(value.err).not.toContain('option');
  expect(await stele('config explain -json')).toMatchObject({ status: 2 });
});

describe('wrong usage', () => {
  test.each([
    ['versoin', 'unknown verb versoin; did you mean version?'],
    ['xyzzy', 'unknown verb xyzzy'],
    ['config', 'config needs another word: config check, config explain'],
    ['config chekc', 'unknown verb config chekc; did you mean config check?'],
    ['help srve', 'unknown verb srve; did you mean serve?'],
    ['version --jsn', 'unknown option --jsn; did you mean --json?'],
    ['version extra', 'version does not know what to do with extra'],
    ['users add', 'users add needs NAME'],
    ['config check --config', "Option '--config <value>' argument missing"],
  ])('stele %s', async (line, message) => {
    const { status, out, err } = await stele(line);
    expect([status, out]).toEqual([2, '']);
    expect(err.split('\n')[0]).toBe(`stele: ${message}`);
  });
});

describe('version', () => {
  test('for people and for programs', async () => {
    expect((await stele('version')).out).toMatch(/^stele \d+\.\d+\.\d+ \(Node \d+/);
    expect((await stele('--version')).out).toMatch(/^stele /);
    expect(JSON.parse((await stele('version --json')).out)).toEqual({
      stele: expect.any(String),
      node: process.versions.node,
    });
  });
});

describe('config', () => {
  const file = (yaml: string) => writeFile(path.join(folder, 'stele.yaml'), yaml);

  test('check says that all is well, or everything that is not', async () => {
    await file('server_name: example.org\nappservices: [a.yaml]\n');
    const good = await stele('config check --config stele.yaml');
    expect([good.status, good.out]).toEqual([0, '']);
    expect(good.err).toContain('warning: This version does not run application services');
    expect(good.err).toContain('is in order');
    await file('sever_name: example.org\nlisteners: []\n');
    const bad = await stele('config check --config stele.yaml');
    expect(bad.status).toBe(1);
    expect(bad.err.split('\n')).toHaveLength(3);
    const json = await stele('config check --json --config stele.yaml');
    expect(json.status).toBe(1);
    expect(JSON.parse(json.out).problems).toContainEqual({
      where: 'stele.yaml:1',
      key: 'sever_name',
      message: 'is no setting; did you mean server_name?',
    });
  });

  test('explain shows each setting once, where it comes from, and no secret', async () => {
    await file('server_name: example.org\nregistration: { shared_secret: hush }\nturn: { shared_secret: quiet }\n');
    const { status, out } = await stele('config explain --config stele.yaml', { STELE_LISTENERS__0__PORT: '8009' });
    expect(status).toBe(0);
    expect(out).not.toMatch(/hush|quiet/);
    expect(out).toContain('server_name: example.org   (from stele.yaml)');
    expect(out).toContain('registration.shared_secret: (secret)   (from stele.yaml)');
    expect(out).toContain('Not in effect: This version does not run application services.');
    const { out: json } = await stele('config explain listeners --json --config stele.yaml', {
      STELE_LISTENERS__0__PORT: '8009',
    });
    expect(JSON.parse(json)).toContainEqual(
      expect.objectContaining({
        key: 'listeners.N.port',
        default: 8008,
        environment: 'STELE_LISTENERS__N__PORT',
        value: [8009],
      }),
    );
  });

  test('every setting says what it is for', async () => {
    const { out } = await stele('config explain --json');
    for (const { key, doc, type } of JSON.parse(out)) {
      expect([key, doc.length > 10, type.length > 2]).toEqual([key, true, true]);
    }
    expect((await stele('config explain nothing')).status).toBe(2);
  });
});
