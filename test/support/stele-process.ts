/** Stele as people run it, in a process of its own, for tests from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../ops/cli/main.ts', import.meta.url));
const START_DEADLINE_MS = 30_000;
const POLL_MS = 10;

/** A data folder with a configuration, and the server that runs on it now and then. */
export class SteleProcess {
  readonly folder: string;
  readonly dataDir: string;
  readonly configFile: string;
  readonly url: string;
  #child: ChildProcess | undefined;
  /** What it wrote to standard error since it was last started. */
  stderr = '';

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.dataDir = path.join(folder, 'data');
    this.configFile = path.join(folder, 'stele.yaml');
    this.url = `http://127.0.0.1:${port}`;
  }

  /** A fresh folder and a free port; open registration, no rate limits. `settings`, which may need the port, are laid over that. */
  static async make(settings: object | ((port: number) => object) = {}): Promise<SteleProcess> {
    const folder = await mkdtemp(path.join(tmpdir(), 'stele-test-'));
    const port = await freePort();
    const process = new SteleProcess(folder, port);
    const config = {
      server_name: 'localhost',
      data_dir: process.dataDir,
      listeners: [{ bind: '127.0.0.1', port, serves: ['client', 'federation', 'ops'] }],
      registration: { open: true, token_required: false },
      rate_limits: { enabled: false },
      logging: { level: 'warn' },
      ...(typeof settings === 'function' ? settings(port) : settings),
    };
    // JSON is YAML.
    await writeFile(process.configFile, JSON.stringify(config));
    return process;
  }

  /** Starts the server and resolves when it answers. Rejects with what it said if it ends before. */
  async start(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const child = this.#launch(env);
    const deadlineMs = performance.now() + START_DEADLINE_MS;
    for (;;) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`the server ended with ${child.exitCode ?? child.signalCode}:\n${this.stderr}`);
      }
      try {
        const answer = await fetch(`${this.url}/_matrix/client/versions`);
        await answer.arrayBuffer();
        if (answer.ok) return;
      } catch (error) {
        if (performance.now() > deadlineMs)
          throw new Error(`the server does not answer:\n${this.stderr}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Starts the server where it is expected to refuse: resolves when it has ended. */
  async startInVain(): Promise<{ status: number | null; stderr: string }> {
    const child = this.#launch({});
    await once(child, 'close');
    return { status: child.exitCode, stderr: this.stderr };
  }

  /** Starts the server and kills it so many milliseconds later, wherever it is by then. */
  async startAndKill(afterMs: number): Promise<void> {
    this.#launch({});
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await this.stop('SIGKILL');
  }

  #launch(env: NodeJS.ProcessEnv): ChildProcess {
    this.stderr = '';
    const child = spawn(process.execPath, [MAIN, 'serve', '--config', this.configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    return child;
  }

  /** Stops the server with a signal (default SIGTERM) and resolves when it has ended: with its exit status, null if killed. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return null;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [status] = (await exited) as [number | null];
    return status;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Runs a `stele` command on the same configuration and gives its exit status and what it wrote. */
  async run(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, stdout, stderr };
  }

  /** Begins a `stele` command and kills it, with SIGKILL, as soon as something is there; gives whether that came before its end. */
  async runUntil(isThere: () => Promise<boolean>, ...args: string[]): Promise<boolean> {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'ignore' });
    const closed = once(child, 'close');
    let wasKilled = false;
    while (child.exitCode === null && !wasKilled) {
      wasKilled = (await isThere()) && child.kill('SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await closed;
    return wasKilled;
  }

  /** The lines of this level that the server has logged since it was last started. */
  logged(level: 'warn' | 'error' | 'fatal'): readonly Record<string, unknown>[] {
    // LMDB's own complaints end without a line end.
    return [...this.stderr.matchAll(/\{.*\}$/gm)]
      .map(([line]) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line['level'] === level);
  }

  /** Makes an account and gives a client with its access token. */
  async register(username: string): Promise<TestUser> {
    const answer = await call(this.url, undefined, 'POST', '/_matrix/client/v3/register', {
      username,
      password: 'correct horse battery staple',
      auth: { type: 'm.login.dummy' },
    });
    return new TestUser(
      this.url,
      String(answer['user_id']),
      String(answer['access_token']),
      String(answer['device_id']),
    );
  }

  /** Kills what still runs and removes the folder. */
  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** An account of the server under test. */
export class TestUser {
  readonly baseUrl: string;
  readonly userId: string;
  readonly accessToken: string;
  readonly deviceId: string;

  constructor(baseUrl: string, userId: string, accessToken: string, deviceId: string) {
    this.baseUrl = baseUrl;
    this.userId = userId;
    this.accessToken = accessToken;
    this.deviceId = deviceId;
  }

  /** Calls the client API; `at` is below `/_matrix/client/v3`. Throws for any status that is not 2xx. */
  call(method: string, at: string, body?: object, signal?: AbortSignal): Promise<Record<string, unknown>> {
    return call(this.baseUrl, this.accessToken, method, `/_matrix/client/v3${at}`, body, signal);
  }
}

/** Calls the client API of any server. Throws for any status that is not 2xx. */
export async function call(
  baseUrl: string,
  token: string | undefined,
  method: string,
  at: string,
  body?: object,
  signal?: AbortSignal,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${baseUrl}${at}`, {
    method,
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Error(`${method} ${at}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

/** A port that nothing listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}
