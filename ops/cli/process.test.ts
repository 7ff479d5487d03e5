/** The `stele` command as people run it, in processes of its own. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

let folder: string;
let configFile: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-process-'));
  configFile = path.join(folder, 'stele.yaml');
  await writeFile(configFile, 'server_name: localhost\nlisteners: [{ port: 0 }]\nlogging: { level: warn }\n');
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

interface Serving {
  readonly child: ChildProcess;
  readonly url: string;
  /** What it has written to standard error. */
  readonly said: () => string;
  /** Its exit status. */
  readonly ended: Promise<number | null>;
}

/** Starts a server as the launcher does, with a channel between the two, and waits for its greeting. */
async function serve(): Promise<Serving> {
  const child = fork(MAIN, ['serve', '--config', configFile], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  running.add(child);
  const ended = once(child, 'exit').then(([status]) => {
    running.delete(child);
    return status as number | null;
  });
  const { promise: greeted, resolve, reject } = Promise.withResolvers<void>();
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (/ docs /.test(said)) resolve();
  });
  void ended.then(() => reject(new Error(said)));
  await greeted;
  const url = /at (http:\S+)/.exec(said)?.[1];
  if (url === undefined) throw new Error(said);
  return { child, url, said: () => said, ended };
}

async function addUser(name: string, password: string, ...options: string[]): Promise<{ status: number; err: string }> {
  const args = [MAIN, 'users', 'add', name, '--password-stdin', '--config', configFile, ...options];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'pipe'] });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.stdin.end(`${password}\n`);
  const [status] = await once(child, 'close');
  return { status, err };
}

async function login(url: string, user: string, password: string): Promise<number> {
  const body = JSON.stringify({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password });
  return (await fetch(`${url}/_matrix/client/v3/login`, { method: 'POST', body })).status;
}

test('accounts are made with and without a running server; a signal that comes twice stops it in order', async () => {
  const made = await addUser('root', 'correct horse', '--admin');
  expect(made).toEqual({ status: 0, err: expect.stringContaining('Administrator @root:localhost is made.') });

  const { child, url, said, ended } = await serve();
  expect(said()).toContain(`data folder   ${path.join(folder, 'data')}`);
  expect(said()).toContain('users add NAME --admin');
  expect((await fetch(`${url}/_stele/ready`)).status).toBe(200);

  expect((await addUser('@alice:localhost', 'battery staple')).status).toBe(0);
  expect(await addUser('alice', 'battery staple')).toEqual({ status: 1, err: expect.stringContaining('taken') });
  expect(await login(url, 'root', 'correct horse')).toBe(200);
  expect(await login(url, 'alice', 'battery staple')).toBe(200);

  child.kill('SIGTERM');
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(said()).toContain('Stopping');
});

test('a server whose launcher is gone stops by itself', async () => {
  const { child, ended } = await serve();
  child.disconnect();
  expect(await ended).toBe(0);
});

test('what keeps it from starting is one sentence, without a stack', async () => {
  const { url, child, ended } = await serve();
  const second = spawn(process.execPath, [MAIN, 'serve', '--config', configFile], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  second.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const [status] = await once(second, 'close');
  expect(status).toBe(1);
  expect(err).toMatch(/^stele: /m);
  expect(err).not.toMatch(/^\s+at /m);
  expect((await fetch(`${url}/_stele/health`)).status).toBe(200);
  child.kill('SIGINT');
  expect(await ended).toBe(0);
});
