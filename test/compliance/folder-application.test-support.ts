/** The whole application in this process on a data folder, with its tree, for tests that back it up, restore it and go on from that. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { PasswordHasher } from '#src/accounts/password-hasher.ts';
import { createApplication } from '#src/application.ts';
import { type Config, settingsSchema } from '#src/config/schema.ts';
import type { Context } from '#src/context.ts';
import { dataPaths } from '#src/data-paths.ts';
import { endpointsFor } from '#src/endpoints.ts';
import { createHttpApp } from '#src/http/app.ts';
import { silentLog } from '#src/log/logger.ts';
import { openMatrixSigningKey } from '#src/signing-key.ts';
import { type OpenLog, openLog } from '#streams/open-log.ts';
import { originOf } from '#streams/transparency/checkpoint.ts';
import { openSigningKey } from '#streams/transparency/signing-key.ts';
import { latestPublishedSize, TransparencyLog } from '#streams/transparency/transparency-log.ts';
import { request, TestClient } from '#test/support/application.ts';

/** Who somebody is, whichever application they call. */
export interface Person {
  readonly userId: string;
  readonly deviceId: string;
  readonly accessToken: string;
}

export interface FolderApplication {
  readonly dataDir: string;
  readonly log: OpenLog;
  readonly engine: ProjectionEngine;
  readonly context: Context;
  /** Publishes all that is in the log; gives the checkpoint. */
  publish(): Promise<string>;
  register(username: string): Promise<Person>;
  /** Who calls as somebody. */
  as(person: Person): TestClient;
  close(): Promise<void>;
}

/** Opens a data folder, or begins one. `settings` are laid over open registration without rate limits and federation. */
export async function openFolderApplication(
  dataDir: string,
  clock: () => number,
  settings: object = {},
): Promise<FolderApplication> {
  const paths = dataPaths(dataDir);
  const config: Config = {
    ...settingsSchema.parse({
      server_name: 'localhost',
      data_dir: dataDir,
      registration: { open: true, token_required: false },
      rate_limits: { enabled: false },
      federation: { enabled: false },
      ...settings,
    }),
    signing_key_file: path.join(dataDir, 'signing.key'),
    public_base_url: 'http://127.0.0.1:8008',
  };
  await mkdir(dataDir, { recursive: true });
  let transparency: TransparencyLog | undefined;
  const log = await openLog({
    folder: paths.log,
    now: clock,
    mustHaveAtLeast: await latestPublishedSize(paths.transparency),
    onCommit: (leaves) => transparency?.add(leaves),
  });
  const signer = await openSigningKey({
    keyFile: paths.logSigningKey,
    origin: originOf(config.server_name),
    folder: paths.transparency,
  });
  const tree = await TransparencyLog.open({
    folder: paths.transparency,
    signer,
    leaves: { size: () => log.head() + 1, readLeaves: (index) => log.readLeaves(index - 1) },
  });
  transparency = tree;
  const publish = async (): Promise<string> => {
    await tree.publish();
    return tree.checkpoint() ?? '';
  };
  const engine = await ProjectionEngine.open({
    dir: paths.projections,
    log,
    projections: coreProjections,
    safeCopies: false,
  });
  const logger = silentLog();
  const application = createApplication({
    config,
    log,
    engine,
    signingKey: await openMatrixSigningKey(config.signing_key_file),
    logger,
    clock,
    isSearchThreaded: false,
    passwordHasher: new PasswordHasher({ opsLimit: 1, memoryLimitBytes: 8192 }),
    proof: { checkpoint: publish, sign: (text) => signer.sign(text) },
  });
  const { context } = application;
  const closer = new AbortController();
  const http = createHttpApp({
    endpoints: endpointsFor(config),
    context,
    authenticate: context.accounts.authenticate,
    acceptsTokenInQuery: config.access_token_in_query,
    authenticateServer: context.federation.authentication,
    guard: application.guard,
    log: logger,
    closing: closer.signal,
  });
  await http.ready();
  return {
    dataDir,
    log,
    engine,
    context,
    publish,
    register: async (username) => {
      const { status, body } = await request(http, 'POST', '/register', {
        username,
        password: 'correct horse battery staple',
        auth: { type: 'm.login.dummy' },
      });
      if (status !== 200) throw new Error(`registering ${username}: ${status} ${JSON.stringify(body)}`);
      const { user_id: userId, device_id: deviceId, access_token: accessToken } = body;
      return { userId: String(userId), deviceId: String(deviceId), accessToken: String(accessToken) };
    },
    as: ({ userId, deviceId, accessToken }) => new TestClient(http, userId, deviceId, accessToken),
    close: async () => {
      closer.abort();
      await http.close();
      await application.close();
      await engine.close();
      await tree.close();
      await log.close();
    },
  };
}
