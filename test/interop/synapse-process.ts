/** Synapse in a process of its own: a server that nobody here wrote. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach } from 'vitest';
import { call, freePort, TestUser } from '#test/support/stele-process.ts';
import { TLS_PATHS } from '#test/support/tls-peer.ts';

/** A Python that has the package `matrix-synapse`: `STELE_TEST_SYNAPSE_PYTHON`, or the one there is. */
const PYTHON = process.env['STELE_TEST_SYNAPSE_PYTHON'] ?? 'python3';
const START_DEADLINE_MS = 90_000;
const STOP_DEADLINE_MS = 10_000;
const POLL_MS = 100;
/** Most that the tests of a file may take together: a server that hangs in one of them hangs in those that are left too. */
const FILE_LIMIT_MS = 10 * 60_000;
/** Characters of Synapse's last words that are shown with a test that fails. */
const SHOWN_OUTPUT = 4000;
const REGISTRATION_SECRET = 'only for tests';

/** The version of Synapse that can be run here, or why none can. */
export function findSynapse(): { readonly version: string } | { readonly missing: string } {
  const asked = spawnSync(PYTHON, ['-c', 'import synapse.app.homeserver, synapse; print(synapse.__version__)'], {
    encoding: 'utf8',
  });
  if (asked.status === 0) return { version: asked.stdout.trim() };
  return { missing: asked.error?.message ?? (asked.stderr.trim().split('\n').at(-1) || 'it does not start') };
}

export class SynapseProcess {
  readonly folder: string;
  /** For clients; without TLS. */
  readonly url: string;
  /** For other servers; with TLS. */
  readonly federationPort: number;
  readonly #configFile: string;
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(folder: string, clientPort: number, federationPort: number) {
    this.folder = folder;
    this.url = `http://127.0.0.1:${clientPort}`;
    this.federationPort = federationPort;
    this.#configFile = path.join(folder, 'homeserver.yaml');
  }

  /** A fresh folder and configuration for a server of this name, at a free port or the one given; SQLite, no rate limits, and it trusts the authority of tests. */
  static async make(serverName: string, atPort?: number): Promise<SynapseProcess> {
    const folder = await mkdtemp(path.join(tmpdir(), 'stele-synapse-'));
    const [clientPort, federationPort] = [await freePort(), atPort ?? (await freePort())];
    const synapse = new SynapseProcess(folder, clientPort, federationPort);
    const at = (name: string) => path.join(folder, name);
    const plenty = { per_second: 10_000, burst_count: 10_000 };
    const config = {
      server_name: serverName,
      pid_file: at('pid'),
      listeners: [
        {
          port: clientPort,
          bind_addresses: ['127.0.0.1'],
          type: 'http',
          resources: [{ names: ['client'], compress: false }],
        },
        {
          port: federationPort,
          bind_addresses: ['127.0.0.1'],
          type: 'http',
          tls: true,
          resources: [{ names: ['federation', 'keys', 'media'], compress: false }],
        },
      ],
      tls_certificate_path: TLS_PATHS.cert,
      tls_private_key_path: TLS_PATHS.key,
      federation_custom_ca_list: [TLS_PATHS.ca],
      ip_range_blacklist: [],
      federation: { destination_min_retry_interval: '1s', destination_max_retry_interval: '2s' },
      database: { name: 'sqlite3', args: { database: at('homeserver.db') } },
      log_config: at('log.yaml'),
      media_store_path: at('media'),
      registration_shared_secret: REGISTRATION_SECRET,
      report_stats: false,
      macaroon_secret_key: 'only for tests',
      form_secret: 'only for tests',
      signing_key_path: at('signing.key'),
      trusted_key_servers: [],
      allow_public_rooms_over_federation: true,
      room_list_publication_rules: [{ action: 'allow' }],
      suppress_key_server_warning: true,
      presence: { enabled: true },
      // A first sync that is asked for again shows what has come meanwhile.
      caches: { sync_response_cache_duration: '0s' },
      rc_message: plenty,
      rc_registration: plenty,
      rc_login: { address: plenty, account: plenty, failed_attempts: plenty },
      rc_joins: { local: plenty, remote: plenty },
      rc_joins_per_room: plenty,
      rc_room_creation: plenty,
      rc_invites: { per_room: plenty, per_user: plenty, per_issuer: plenty },
      rc_federation: { window_size: 1000, sleep_limit: 10_000, sleep_delay: 1, reject_limit: 10_000, concurrent: 100 },
      rc_presence: { per_user: plenty },
    };
    // JSON is YAML.
    await writeFile(synapse.#configFile, JSON.stringify(config));
    const log = {
      version: 1,
      // Synapse has its loggers before it reads this.
      disable_existing_loggers: false,
      formatters: { plain: { format: '%(asctime)s %(name)s %(levelname)s %(message)s' } },
      handlers: { console: { class: 'logging.StreamHandler', formatter: 'plain' } },
      root: { level: 'WARNING', handlers: ['console'] },
    };
    await writeFile(at('log.yaml'), JSON.stringify(log));
    await synapse.#makeKey();
    return synapse;
  }

  async #makeKey(): Promise<void> {
    const made = spawn(PYTHON, ['-m', 'synapse.app.homeserver', '--config-path', this.#configFile, '--generate-keys'], {
      cwd: this.folder,
      stdio: 'ignore',
    });
    const [status] = (await once(made, 'close')) as [number | null];
    if (status !== 0) throw new Error(`Synapse makes no signing key: ${status}`);
  }

  /** Starts it and resolves when it answers. Rejects with what it said if it ends before. */
  async start(): Promise<void> {
    const child = spawn(PYTHON, ['-m', 'synapse.app.homeserver', '--config-path', this.#configFile], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    const deadlineMs = performance.now() + START_DEADLINE_MS;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`Synapse ended with ${child.exitCode}:\n${this.#output}`);
      const answer = await fetch(`${this.url}/_matrix/client/versions`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.ok) return;
      if (performance.now() > deadlineMs) throw new Error(`Synapse does not answer:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** What it has logged: warnings and worse. */
  get output(): string {
    return this.#output;
  }

  /** Makes an account and gives a client with its access token. */
  async register(username: string): Promise<TestUser> {
    const { nonce } = await call(this.url, undefined, 'GET', '/_synapse/admin/v1/register');
    const password = 'correct horse battery staple';
    const mac = createHmac('sha1', REGISTRATION_SECRET)
      .update([nonce, username, password, 'notadmin'].join('\0'))
      .digest('hex');
    const answer = await call(this.url, undefined, 'POST', '/_synapse/admin/v1/register', {
      nonce,
      username,
      password,
      admin: false,
      mac,
    });
    const { user_id: userId, access_token: token, device_id: deviceId } = answer;
    return new TestUser(this.url, String(userId), String(token), String(deviceId));
  }

  /** Stops it, killed if it takes too long. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const killing = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await exited;
    clearTimeout(killing);
  }

  /** Stops it and removes the folder. */
  async remove(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** To be called in a `describe`: what fails shows what Synapse said last, and where servers hang, the tests that are left fail at once. */
export function watchOver(synapse: () => SynapseProcess | undefined): void {
  const startedAtMs = performance.now();
  beforeEach(({ onTestFailed }) => {
    onTestFailed(() => console.warn(`Synapse's last warnings:\n${synapse()?.output.slice(-SHOWN_OUTPUT)}`));
    const tookMs = performance.now() - startedAtMs;
    if (tookMs > FILE_LIMIT_MS)
      throw new Error(`The tests before took ${Math.round(tookMs / 1000)} s: a server hangs.`);
  });
}
