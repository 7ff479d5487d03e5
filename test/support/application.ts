/** The whole application in this process, on a log in memory, for tests that speak HTTP to it without a socket. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { type SigningKey, signingKeyFromSeed } from '#protocol/signing.ts';
import { PasswordHasher } from '#src/accounts/password-hasher.ts';
import { createApplication } from '#src/application.ts';
import type { LogProof } from '#src/compliance/certificate.ts';
import { type Config, settingsSchema } from '#src/config/schema.ts';
import type { Context } from '#src/context.ts';
import { endpointsFor } from '#src/endpoints.ts';
import type { FederationNetwork } from '#src/federation/federation.ts';
import { createHttpApp, type TlsCredentials } from '#src/http/app.ts';
import type { Guard } from '#src/http/guard.ts';
import { silentLog } from '#src/log/logger.ts';
import type { Gateway } from '#src/push/sender/gateway.ts';
import { type MemoryLog, openMemoryLog } from '#streams/memory/memory-log.ts';
import { wrongIn } from './client-answers.ts';

export interface TestApplication {
  readonly http: FastifyInstance;
  readonly log: MemoryLog;
  readonly engine: ProjectionEngine;
  readonly context: Context;
  /** Asks for capabilities and writes the audit log, for tests that listen by themselves. */
  readonly guard: Guard;
  /** Milliseconds since the epoch by the application's clock; moves only by {@link TestApplication.advance} and a millisecond a look. */
  now(): number;
  advance(ms: number): void;
  /** Registers a user and gives who can call as them. */
  register(username: string): Promise<TestClient>;
  /** Fires the signal that long polls see when the server stops. */
  beginClosing(): void;
  close(): Promise<void>;
}

export interface TestAnswer {
  readonly status: number;
  readonly body: Record<string, never> & Record<string, unknown>;
  readonly raw: LightMyRequestResponse;
}

/** A user who calls the client API. */
export class TestClient {
  readonly http: FastifyInstance;
  readonly userId: string;
  readonly deviceId: string;
  readonly accessToken: string;

  constructor(http: FastifyInstance, userId: string, deviceId: string, accessToken: string) {
    this.http = http;
    this.userId = userId;
    this.deviceId = deviceId;
    this.accessToken = accessToken;
  }

  /** Calls with the user's token; `at` is below `/_matrix/client/v3` unless it begins with `/_`. */
  async call(method: 'GET' | 'PUT' | 'POST' | 'DELETE', at: string, body?: unknown): Promise<TestAnswer> {
    return request(this.http, method, at, body, this.accessToken);
  }

  /** Calls, and throws unless the answer is 200; gives its body. */
  async ok(method: 'GET' | 'PUT' | 'POST' | 'DELETE', at: string, body?: unknown): Promise<TestAnswer['body']> {
    const answer = await this.call(method, at, body);
    if (answer.status !== 200) throw new Error(`${method} ${at}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
}

/** What was wrong with answers of an application, if anything was. */
const wrongAnswers = new WeakMap<FastifyInstance, string[]>();

/** Looks at every answer of the client API, whoever asked, just before it goes out; see {@link throwIfWrong}. */
function watchAnswers(http: FastifyInstance): void {
  const wrong: string[] = [];
  wrongAnswers.set(http, wrong);
  http.addHook('onRequest', (request, { raw }, done) => {
    const { end } = raw;
    raw.end = function (this: typeof raw, ...given: unknown[]) {
      const text = typeof given[0] === 'string' || Buffer.isBuffer(given[0]) ? given[0].toString() : '';
      if (/^[{[]/.test(text)) {
        const { method, url } = request;
        const found = wrongIn({ method, url, status: raw.statusCode, body: JSON.parse(text) });
        if (found !== undefined) wrong.push(found);
      }
      return Reflect.apply(end, this, given);
    } as typeof end;
    done();
  });
}

/** @throws {Error} if the application has answered something that no answer of its operation may be. */
function throwIfWrong(http: FastifyInstance): void {
  const wrong = wrongAnswers.get(http)?.splice(0) ?? [];
  if (wrong.length > 0) throw new Error(`An answer is not as the specification has it. ${wrong.join('\n')}`);
}

/** Calls without a token, or with the one given. A string body is sent as it is. */
export async function request(
  http: FastifyInstance,
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  at: string,
  body?: unknown,
  accessToken?: string,
): Promise<TestAnswer> {
  const raw = await http.inject({
    method,
    url: at.startsWith('/_') || at.startsWith('/.') ? at : `/_matrix/client/v3${at}`,
    headers: {
      ...(accessToken !== undefined && { authorization: `Bearer ${accessToken}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  throwIfWrong(http);
  const isJson = String(raw.headers['content-type'] ?? '').includes('json');
  return { status: raw.statusCode, body: isJson ? raw.json() : {}, raw };
}

/** What an application may have otherwise than usual. */
export interface TestParts {
  /** Default: one that all test applications share. */
  readonly signingKey?: SigningKey;
  readonly replaceKey?: () => Promise<SigningKey>;
  readonly network?: FederationNetwork;
  /** Makes it a policy server, with the settings of one. */
  readonly policyKey?: SigningKey;
  /** Default: certificates are not signed. */
  readonly proof?: LogProof;
  /** Default: the push gateways that users name. */
  readonly pushGateway?: Gateway;
  /** To listen with TLS; without it plain HTTP, should the test listen at all. */
  readonly tls?: TlsCredentials;
}

/** Starts one. `settings` are laid over open registration without rate limits. Close it when done. */
export async function startApplication(settings: object = {}, parts: TestParts = {}): Promise<TestApplication> {
  const { tls, ...applicationParts } = parts;
  const dir = await mkdtemp(path.join(tmpdir(), 'stele-app-'));
  const parsed = settingsSchema.parse({
    server_name: 'localhost',
    data_dir: dir,
    registration: { open: true, token_required: false },
    rate_limits: { enabled: false },
    ...settings,
  });
  const config: Config = {
    ...parsed,
    signing_key_file: path.join(dir, 'signing.key'),
    public_base_url: 'http://127.0.0.1:8008',
  };
  const logger = silentLog();
  let nowMs = 1_700_000_000_000;
  const clock = (): number => nowMs++;
  const log = openMemoryLog({ now: clock });
  const engine = await ProjectionEngine.open({
    dir: path.join(dir, 'projections'),
    log,
    projections: coreProjections,
    safeCopies: false,
  });
  const application = createApplication({
    config,
    log,
    engine,
    signingKey: signingKeyFromSeed('ed25519:test', Buffer.alloc(32, 1)),
    logger,
    clock,
    isSearchThreaded: false,
    passwordHasher: new PasswordHasher({ opsLimit: 1, memoryLimitBytes: 8192 }),
    ...applicationParts,
  });
  const closer = new AbortController();
  const http = createHttpApp({
    endpoints: endpointsFor(config),
    context: application.context,
    authenticate: application.context.accounts.authenticate,
    acceptsTokenInQuery: config.access_token_in_query,
    authenticateServer: application.context.federation.authentication,
    guard: application.guard,
    log: logger,
    closing: closer.signal,
    tls,
  });
  watchAnswers(http);
  await http.ready();
  return {
    http,
    log,
    engine,
    context: application.context,
    guard: application.guard,
    now: () => nowMs,
    advance: (ms) => {
      nowMs += ms;
    },
    register: async (username) => {
      const { status, body } = await request(http, 'POST', '/register', {
        username,
        password: 'correct horse battery staple',
        auth: { type: 'm.login.dummy' },
      });
      if (status !== 200) throw new Error(`registering ${username}: ${status} ${JSON.stringify(body)}`);
      return new TestClient(http, String(body['user_id']), String(body['device_id']), String(body['access_token']));
    },
    beginClosing: () => closer.abort(),
    close: async () => {
      closer.abort();
      await http.close();
      await application.close();
      await engine.close();
      await log.close();
      await rm(dir, { recursive: true, force: true });
      throwIfWrong(http);
    },
  };
}
