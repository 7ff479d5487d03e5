/** A server with the endpoints of accounts only, for tests: a log in memory, the real engine in a temporary folder. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { accountsProjection } from '#projections/accounts/projection.ts';
import { auditProjection } from '#projections/audit/projection.ts';
import { backupsProjection } from '#projections/backups/projection.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { identityBindingsProjection } from '#projections/identity-bindings/projection.ts';
import { signingKeyFromSeed } from '#protocol/signing.ts';
import { Accounts } from '#src/accounts/accounts.ts';
import { PasswordHasher } from '#src/accounts/password-hasher.ts';
import { Audit } from '#src/audit/audit.ts';
import { Repeats } from '#src/audit/repeats.ts';
import { StreamCommands } from '#src/commands/stream-command.ts';
import { type Config, settingsSchema } from '#src/config/schema.ts';
import { IdentityServers } from '#src/federation/identity-servers.ts';
import { createHttpApp } from '#src/http/app.ts';
import { type Logger, silentLog } from '#src/log/logger.ts';
import { LazyAgent } from '#src/net/undici.ts';
import { newRecordId } from '#src/record-ids.ts';
import { type MemoryLog, openMemoryLog } from '#streams/memory/memory-log.ts';
import { accountEndpoints } from './index.ts';

/** The cheapest hashes that argon2id allows, and many at once. */
export const CHEAP_HASHING = { opsLimit: 1, memoryLimitBytes: 8192, maxConcurrent: 4 } as const;

/** What a request was answered with. */
export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface CallOptions {
  readonly token?: string | undefined;
  /** Sent as JSON; a string as it is. */
  readonly body?: object | string;
  readonly ip?: string;
}

export interface AccountsServer {
  readonly accounts: Accounts;
  readonly app: FastifyInstance;
  readonly engine: ProjectionEngine;
  readonly log: MemoryLog;
  /** What `clock` says; tests move it. */
  readonly time: { nowMs: number };
  /** Sends a request. Paths that do not begin with `/_` or `/.` are those of the client API, version 3. */
  call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, options?: CallOptions): Promise<Answer>;
  /** Registers with a password and gives the answer's members. */
  register(username: string, more?: object): Promise<RegisterAnswer>;
  close(): Promise<void>;
}

export interface RegisterAnswer {
  readonly user_id: string;
  readonly device_id: string;
  readonly access_token: string;
  readonly refresh_token: string;
  readonly expires_in_ms: number;
}

export const PASSWORD = 'correct horse battery';

export interface ServerOptions {
  readonly registration?: Partial<Config['registration']>;
  readonly isLimited?: boolean;
  readonly logger?: Logger;
}

export async function startAccounts(options: ServerOptions = {}): Promise<AccountsServer> {
  const dir = await mkdtemp(join(tmpdir(), 'stele-accounts-'));
  const log = openMemoryLog();
  const projections = [accountsProjection, auditProjection, backupsProjection, identityBindingsProjection];
  const engine = await ProjectionEngine.open({ dir, log, projections, safeCopies: false });
  const settings = settingsSchema.parse({
    server_name: 'example.org',
    registration: { open: true, token_required: false, ...options.registration },
    rate_limits: { enabled: options.isLimited ?? false },
  });
  const config = { ...settings, signing_key_file: '', public_base_url: 'https://matrix.example.org' };
  const time = { nowMs: 1_700_000_000_000 };
  const logger = options.logger ?? silentLog();
  const commands = new StreamCommands({ log, caughtUp: () => engine.waitFor(log.head()) });
  const clock = () => time.nowMs;
  const audit = new Audit({ commands, newRecordId });
  const repeats = new Repeats({ audit, clock, logger });
  const accounts = new Accounts({
    config,
    reader: engine.reader,
    engine,
    commands,
    clock,
    random: randomBytes,
    logger,
    passwordHasher: new PasswordHasher(CHEAP_HASHING),
  });
  const app = createHttpApp({
    endpoints: accountEndpoints,
    context: {
      accounts,
      config,
      audit,
      repeats,
      commands,
      reader: engine.reader,
      newRecordId,
      identity: new IdentityServers(new LazyAgent({}), {
        serverName: config.server_name,
        signingKey: signingKeyFromSeed('ed25519:test', Buffer.alloc(32, 1)),
      }),
    },
    authenticate: accounts.authenticate,
    log: logger,
    closing: new AbortController().signal,
  });
  const call: AccountsServer['call'] = async (method, path, { token, body, ip } = {}) => {
    const answer = await app.inject({
      method,
      url: /^\/[_.]/.test(path) ? path : `/_matrix/client/v3${path}`,
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
      ...(body !== undefined && { payload: body }),
      ...(ip !== undefined && { remoteAddress: ip }),
    });
    return { status: answer.statusCode, body: answer.json(), headers: answer.headers };
  };
  return {
    accounts,
    app,
    engine,
    log,
    time,
    call,
    async register(username, more = {}) {
      const auth = { type: 'm.login.dummy' };
      const { status, body } = await call('POST', '/register', {
        body: { username, password: PASSWORD, auth, ...more },
      });
      if (status !== 200) throw new Error(`registering was answered with ${status} ${JSON.stringify(body)}`);
      return body as unknown as RegisterAnswer;
    },
    async close() {
      await app.close();
      await repeats.close();
      await engine.close();
      await log.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
