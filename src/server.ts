/** A whole server: opens what is in the data folder, in order, and closes it in the other. */
import { mkdir } from 'node:fs/promises';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { EngineProgress } from '#projections/engine/progress.ts';
import { encodeBase64 } from '#protocol/base64.ts';
import type { RecoveryReport } from '#streams/embedded/open-embedded.ts';
import type { EventLog } from '#streams/event-log.ts';
import { openLog } from '#streams/open-log.ts';
import { originOf } from '#streams/transparency/checkpoint.ts';
import { openSigningKey } from '#streams/transparency/signing-key.ts';
import { latestPublishedSize, TransparencyLog } from '#streams/transparency/transparency-log.ts';
import { createApplication } from './application.ts';
import { recordConfiguration, recordKeyInUse } from './audit/configuration.ts';
import { buildInThread } from './compliance/destruction/build-thread.ts';
import { complianceFigures } from './compliance/metrics.ts';
import type { Config } from './config/schema.ts';
import type { Context } from './context.ts';
import { dataPaths, policyKeyFileOf } from './data-paths.ts';
import { endpointsFor } from './endpoints.ts';
import type { Exporter } from './exports/exporter.ts';
import type { Federation } from './federation/federation.ts';
import { federationFigures } from './federation/metrics.ts';
import { createMetrics } from './http/metrics.ts';
import type { Readiness } from './http/ops-endpoints.ts';
import { RateLimiter } from './http/rate-limit.ts';
import { type ListeningAddress, startHttpServer } from './http/server.ts';
import type { Logger } from './log/logger.ts';
import { operatorEndpoints } from './operator/index.ts';
import { OperatorGuard } from './operator/operator-guard.ts';
import { openOperatorSocket } from './operator/operator-socket.ts';
import { openMatrixSigningKey, openPolicySigningKey, replaceMatrixSigningKey } from './signing-key.ts';
import { EvidenceFiles } from './transparency/evidence-files.ts';
import { logEndpoints } from './transparency/log-endpoints.ts';
import { transparencyFigures } from './transparency/metrics.ts';
import { proofEndpoint } from './transparency/proof-endpoint.ts';
import { makeKeeper } from './transparency/start-keeper.ts';

export interface ServerOptions {
  readonly logger: Logger;
  /** Told while projections are built from the log. */
  readonly onProgress?: (progress: EngineProgress) => void;
  /** Makes exports that are asked for over HTTP; without it none are made. */
  readonly exporter?: Exporter;
}

export interface RunningServer {
  readonly addresses: readonly ListeningAddress[];
  /** Answers long polls, lets requests end, writes what is queued, publishes the last checkpoint. */
  stop(): Promise<void>;
}

/**
 * Starts a server and resolves when it answers.
 *
 * @throws {Error} with a sentence for the operator: the data folder is in use or damaged, a key is missing, a port is taken.
 */
export async function startServer(config: Config, options: ServerOptions): Promise<RunningServer> {
  const { logger } = options;
  const paths = dataPaths(config.data_dir);
  const closers: (() => Promise<void>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    await mkdir(config.data_dir, { recursive: true, mode: 0o700 });
    let transparency: TransparencyLog | undefined;
    const log = await openLog({
      folder: paths.log,
      mustHaveAtLeast: await latestPublishedSize(paths.transparency),
      onCommit: (leaves) => transparency?.add(leaves),
    });
    closers.push(() => log.close());
    reportRecovery(log.recovery, logger);
    const signer = await openSigningKey({
      keyFile: paths.logSigningKey,
      origin: originOf(config.server_name),
      folder: paths.transparency,
    });
    transparency = await TransparencyLog.open({
      folder: paths.transparency,
      signer,
      leaves: { size: () => log.head() + 1, readLeaves: (index) => log.readLeaves(index - 1) },
      onNotice: (notice) => logger.warn({ notice }, 'transparency log'),
    });
    closers.push(() => transparency.close());
    const signingKey = await openMatrixSigningKey(config.signing_key_file);
    const policyKeyFile = policyKeyFileOf(config);
    const policyKey = policyKeyFile === undefined ? undefined : await openPolicySigningKey(policyKeyFile);
    const engine = await ProjectionEngine.open({
      dir: paths.projections,
      log,
      projections: coreProjections,
      onError: (error) => logger.error({ err: error }, 'projections'),
      ...(options.onProgress && { onProgress: options.onProgress }),
    });
    closers.push(() => engine.close());
    const application = createApplication({
      config,
      log,
      engine,
      signingKey,
      policyKey,
      replaceKey: () => replaceMatrixSigningKey(config.signing_key_file),
      buildAhead: buildInThread(paths.log),
      proof: {
        checkpoint: async () => {
          await transparency.publish();
          return transparency.checkpoint();
        },
        sign: (text) => signer.sign(text),
      },
      exporter: options.exporter,
      logger,
    });
    closers.push(() => application.close());
    const { federation, compliance, exports } = application.context;
    await compliance.destruction.hideUnfinished();
    await exports.start();
    await recordSigningKey(federation, logger);
    // A command that opens the folder for a while is no start of the server.
    if (config.listeners.length > 0) await recordStart(application.context, signer.verifier.text, logger);
    const evidence = new EvidenceFiles(paths.transparency);
    const keeper = await makeKeeper({
      config,
      folder: paths.transparency,
      checkpoint: () => transparency.checkpoint(),
      context: application.context,
      logger,
    });
    closers.push(() => keeper.close());
    const operator = await openOperatorSocket({
      dataDir: config.data_dir,
      endpoints: operatorEndpoints,
      context: application.context,
      guard: new OperatorGuard({ audit: application.context.audit, logger }),
      log: logger,
    });
    closers.push(() => operator.close());
    const metrics = createMetrics();
    const { counts, destinations } = federation;
    metrics.add(federationFigures({ counts, destinations, sender: application.context.sender }));
    metrics.add(complianceFigures(application.context.compliance.destruction));
    metrics.add(transparencyFigures(keeper.counts, () => transparency.publishedSize));
    const publicLog = logEndpoints({
      folder: paths.transparency,
      checkpoint: () => transparency.checkpoint(),
      verifierKey: transparency.verifierKey,
      evidence,
      isWitnessed: config.transparency.witnesses.length > 0,
    });
    const proofs = proofEndpoint({
      config,
      verifier: signer.verifier,
      head: () => log.head(),
      publish: () => transparency.publish(),
    });
    const http = await startHttpServer({
      listeners: config.listeners,
      endpoints: [...publicLog, proofs, ...endpointsFor(config)],
      context: application.context,
      authenticate: application.context.accounts.authenticate,
      authenticateServer: federation.authentication,
      guard: application.guard,
      limiter: config.rate_limits.enabled ? new RateLimiter({ now: Date.now }) : undefined,
      acceptsTokenInQuery: config.access_token_in_query,
      log: logger,
      metrics,
      readiness: () => readiness(application.context.log),
    });
    closers.push(() => http.stop());
    // Not before requests are answered: nobody waits for it.
    application.context.search.start();
    // A command that opens the folder for a while is no part of the schedule.
    if (config.listeners.length > 0) keeper.start();
    return { addresses: http.addresses, stop: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Without this the key would be unknown as an old one once another takes its place; a log that cannot be written now can later. */
async function recordSigningKey(federation: Federation, logger: Logger): Promise<void> {
  try {
    await federation.ownKeys.recordCurrent();
  } catch (error) {
    logger.warn({ err: error }, 'the signing key could not be recorded');
  }
}

/** Puts on record what the server was started with, where that changed. A log that cannot be written now can be at the next start. */
async function recordStart(context: Context, logVerifier: string, logger: Logger): Promise<void> {
  const [key] = context.federation.ownKeys.list();
  try {
    await recordConfiguration(context, context.config);
    if (key) await recordKeyInUse(context, 'matrix', { key_id: key.keyId, public_key: encodeBase64(key.publicKey) });
    await recordKeyInUse(context, 'log', { key_id: logVerifier.split('+', 2).join('+'), public_key: logVerifier });
  } catch (error) {
    logger.warn({ err: error }, 'what the server was started with could not be put on record');
  }
}

/** What was found when the log was opened, where an operator should know. */
function reportRecovery({ cut, warnings, records, elapsedMs }: RecoveryReport, logger: Logger): void {
  if (cut) logger.warn({ ...cut }, 'the rest of a commit that was never acknowledged was cut off');
  for (const warning of warnings) logger.warn(warning);
  logger.info({ records, ms: Math.round(elapsedMs) }, 'log opened');
}

function readiness(log: EventLog): Readiness {
  const state = log.writeState();
  return state.writable ? { ready: true } : { ready: false, reason: state.reason };
}
