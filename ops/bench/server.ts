/** The servers that benchmarks measure: Stele as people start it, in a process of its own, and a bare Fastify for comparison. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SERVER_FLAGS } from '../launch/node.mjs';

const LAUNCHER = fileURLToPath(new URL('../launch/stele.mjs', import.meta.url));
const BARE = fileURLToPath(new URL('./bare-fastify.ts', import.meta.url));
const START_DEADLINE_MS = 30_000;
const POLL_MS = 10;

/** A user of the measured server. */
export interface BenchUser {
  readonly userId: string;
  readonly token: string;
  createRoom(request: object): Promise<string>;
  join(roomId: string): Promise<void>;
  call(method: string, path: string, body?: object): Promise<Record<string, unknown>>;
}

/** A running server. */
export interface BenchServer {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDir: string;
  /** From starting the process to its first answer, in milliseconds. */
  readonly startMs: number;
  register(name: string): Promise<BenchUser>;
  /** Stops it and removes its data. */
  stop(): Promise<void>;
}

/** Starts Stele on a free loopback port with a data folder of its own. */
export async function startServer(nodeArguments: readonly string[] = []): Promise<BenchServer> {
  return start(await freePort(), {}, nodeArguments);
}

/** The same with other settings than usual. */
export async function startServerWith(settings: object): Promise<BenchServer> {
  return start(await freePort(), settings, []);
}

/** The same as a server that others can reach with TLS, under the name `localhost` with a port. */
export async function startFederatedServer(
  tls: { readonly ca: string; readonly cert: string; readonly key: string },
  nodeArguments: readonly string[] = [],
): Promise<BenchServer & { readonly name: string }> {
  const port = await freePort();
  const federationPort = await freePort();
  const name = `localhost:${federationPort}`;
  const server = await start(
    port,
    {
      server_name: name,
      listeners: [
        { bind: '127.0.0.1', port, serves: ['client', 'ops'] },
        { bind: '127.0.0.1', port: federationPort, serves: ['federation'], tls: { cert: tls.cert, key: tls.key } },
      ],
      federation: { ca_file: tls.ca, allow_private_addresses: true },
    },
    nodeArguments,
  );
  return { ...server, name };
}

async function start(port: number, settings: object, nodeArguments: readonly string[]): Promise<BenchServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-bench-'));
  const config = {
    server_name: 'localhost',
    data_dir: path.join(folder, 'data'),
    listeners: [{ bind: '127.0.0.1', port, serves: ['client', 'ops'] }],
    registration: { open: true, token_required: false },
    rate_limits: { enabled: false },
    ...settings,
  };
  const configFile = path.join(folder, 'stele.yaml');
  await writeFile(configFile, JSON.stringify(config));
  const startedMs = performance.now();
  const child = spawn(
    process.execPath,
    [...SERVER_FLAGS, ...nodeArguments, LAUNCHER, 'serve', '--config', configFile],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, STELE_LOGGING__LEVEL: 'warn' },
    },
  );
  await answers(child, port, '/_matrix/client/versions');
  const base = `http://127.0.0.1:${port}`;
  return {
    host: '127.0.0.1',
    port,
    pid: child.pid ?? 0,
    dataDir: config.data_dir,
    startMs: performance.now() - startedMs,
    register: (name) => register(base, name),
    stop: async () => {
      await stopChild(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A Fastify that answers every PUT at once with an event id: what no homeserver can be faster than. */
export async function startBareFastify(): Promise<{ host: string; port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const child = spawn(process.execPath, [BARE, String(port)], { stdio: ['ignore', 'ignore', 'inherit'] });
  await answers(child, port, '/');
  return { host: '127.0.0.1', port, stop: () => stopChild(child) };
}

async function register(base: string, name: string): Promise<BenchUser> {
  const call = async (token: string | undefined, method: string, at: string, body?: object) => {
    const response = await fetch(`${base}/_matrix/client/v3${at}`, {
      method,
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(`${method} ${at}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  const account = await call(undefined, 'POST', '/register', {
    username: name,
    password: 'a long bench password',
    auth: { type: 'm.login.dummy' },
  });
  const token = String(account['access_token']);
  return {
    userId: String(account['user_id']),
    token,
    createRoom: async (request) => String((await call(token, 'POST', '/createRoom', request))['room_id']),
    join: async (roomId) => {
      await call(token, 'POST', `/rooms/${encodeURIComponent(roomId)}/join`, {});
    },
    call: (method, at, body) => call(token, method, at, body),
  };
}

/** A port that nothing listens on at the moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

async function answers(child: ChildProcess, port: number, at: string): Promise<void> {
  const deadlineMs = performance.now() + START_DEADLINE_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with status ${child.exitCode}`);
    try {
      await (await fetch(`http://127.0.0.1:${port}${at}`)).arrayBuffer();
      return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
