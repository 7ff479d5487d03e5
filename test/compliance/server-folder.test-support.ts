/** A server on a data folder of its own, in this process, and the command line beside it. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runCommandLine } from '#ops/cli/run-command-line.ts';
import { exportInProcess } from '#ops/export/export-in-process.ts';
import { loadConfig } from '#src/config/load.ts';
import { silentLog } from '#src/log/logger.ts';
import { type RunningServer, startServer } from '#src/server.ts';

/** What a command printed, and how it ended. */
export interface CommandOutcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** What a request was answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** A user who calls the client API. */
export interface Person {
  readonly userId: string;
  readonly deviceId: string;
  readonly token: string;
}

/** A temporary folder with a configuration, and the server that runs on it, if one does. */
export class ServerFolder {
  readonly folder: string;
  #server: RunningServer | undefined;
  #sent = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** `extra` are more lines of the configuration. */
  static async make(extra = ''): Promise<ServerFolder> {
    const made = new ServerFolder(await mkdtemp(path.join(tmpdir(), 'stele-c-')));
    await made.configure('data', extra);
    return made;
  }

  get configFile(): string {
    return path.join(this.folder, 'stele.yaml');
  }

  path(...parts: string[]): string {
    return path.join(this.folder, ...parts);
  }

  /** Writes the configuration: which data folder below this one is served. */
  async configure(dataDir: string, extra = ''): Promise<void> {
    await writeFile(
      this.configFile,
      `server_name: example.org\ndata_dir: ./${dataDir}\nlisteners: [{ port: 0 }]\nfederation: { enabled: false }\n` +
        `registration: { open: true, token_required: false }\nrate_limits: { enabled: false }\n${extra}`,
    );
  }

  async start(): Promise<void> {
    const { config } = await loadConfig({ file: this.configFile, environment: {}, workingDir: this.folder });
    this.#server = await startServer(config, { logger: silentLog(), exporter: exportInProcess(config) });
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Runs `stele` with this folder's configuration. */
  async stele(...args: string[]): Promise<CommandOutcome> {
    const out: string[] = [];
    const err: string[] = [];
    const status = await runCommandLine([...args, '--config', this.configFile], {
      print: (line) => out.push(line),
      say: (line) => err.push(line),
      signal: new AbortController().signal,
      environment: {},
      workingDir: this.folder,
    });
    return { status, out: out.join('\n'), err: err.join('\n') };
  }

  /** The same, which must succeed; gives what `--json` printed. */
  async steleJson(...args: string[]): Promise<Record<string, unknown>> {
    const { status, out, err } = await this.stele(...args, '--json');
    if (status !== 0) throw new Error(`stele ${args.join(' ')}: ${status} ${out} ${err}`);
    return JSON.parse(out) as Record<string, unknown>;
  }

  get origin(): string {
    const [address] = this.#server?.addresses ?? [];
    if (address === undefined) throw new Error('the server does not run');
    return `http://127.0.0.1:${address.port}`;
  }

  /** Calls; `at` is below `/_matrix/client/v3` unless it begins with `/_`. */
  async call(
    method: 'GET' | 'PUT' | 'POST',
    at: string,
    options: { readonly token?: string; readonly body?: unknown; readonly bytes?: Uint8Array } = {},
  ): Promise<HttpAnswer> {
    const { token, body, bytes } = options;
    const response = await fetch(this.origin + (at.startsWith('/_') ? at : `/_matrix/client/v3${at}`), {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(bytes !== undefined && { 'content-type': 'text/plain' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(bytes !== undefined && { body: Buffer.from(bytes) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    return { status: response.status, body: isJson ? JSON.parse(text) : { text } };
  }

  /** The same, which must be answered with 200. */
  async ok(...call: Parameters<ServerFolder['call']>): Promise<Record<string, unknown>> {
    const { status, body } = await this.call(...call);
    if (status !== 200) throw new Error(`${call[0]} ${call[1]}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  async register(username: string): Promise<Person> {
    const body = await this.ok('POST', '/register', {
      body: { username, password: 'correct horse battery staple', auth: { type: 'm.login.dummy' } },
    });
    return {
      userId: String(body['user_id']),
      deviceId: String(body['device_id']),
      token: String(body['access_token']),
    };
  }

  async makeRoom({ token }: Person): Promise<string> {
    return String((await this.ok('POST', '/createRoom', { token, body: {} }))['room_id']);
  }

  /** Sends a text and gives its event id. */
  async say({ token }: Person, roomId: string, text: string): Promise<string> {
    this.#sent += 1;
    const body = await this.ok('PUT', `/rooms/${roomId}/send/m.room.message/txn-${this.#sent}`, {
      token,
      body: { msgtype: 'm.text', body: text },
    });
    return String(body['event_id']);
  }

  /** The texts of a room, oldest first. */
  async texts({ token }: Person, roomId: string): Promise<string[]> {
    const { chunk } = await this.ok('GET', `/rooms/${roomId}/messages?dir=b&limit=1000`, { token });
    return (chunk as { type: string; content: { body?: string } }[])
      .filter(({ type }) => type === 'm.room.message')
      .map(({ content }) => content.body ?? '(erased)')
      .reverse();
  }

  /** Waits until everything that is in the log now is in a published checkpoint, which it gives. */
  async published(): Promise<string> {
    await this.stop();
    await this.start();
    return readFile(this.path('data', 'transparency', 'checkpoint'), 'utf8');
  }
}
