/** Asks the server that has a data folder open, or opens the folder for as long as the question takes. */
import { request } from 'node:http';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import type { Config } from '#src/config/schema.ts';
import { silentLog } from '#src/log/logger.ts';
import { OPERATOR_HEADER } from '#src/operator/operator-guard.ts';
import { operatorSocketPath } from '#src/operator/operator-socket.ts';

/** How long the server may take to answer. */
const ANSWER_TIMEOUT_MS = 30_000;

export interface OperatorAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * Posts to an operator endpoint. If no server runs, one is started on the data folder that listens on nothing but its
 * operator socket, and stopped afterwards.
 */
export async function askServer(config: Config, path: string, body: object): Promise<OperatorAnswer> {
  return withServer(config, (ask) => ask(path, body));
}

/** Posts to an operator endpoint. */
export type AskServer = (path: string, body: object) => Promise<OperatorAnswer>;

/** The same for several questions; `isRunning` says whether there was a server without us. */
export async function withServer<Result>(
  config: Config,
  work: (ask: AskServer, isRunning: boolean) => Promise<Result>,
): Promise<Result> {
  const socketPath = operatorSocketPath(config.data_dir);
  const ask: AskServer = (path, body) => post(socketPath, path, body);
  if (await isAnybodyThere(socketPath)) return work(ask, true);
  const { startServer } = await import('#src/server.ts');
  const server = await startServer({ ...config, listeners: [] }, { logger: silentLog() });
  try {
    return await work(ask, false);
  } finally {
    await server.stop();
  }
}

/** Whether a server answers on an operator socket. */
export async function isAnybodyThere(socketPath: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const socket = connect(socketPath);
  socket.on('connect', () => resolve(true));
  socket.on('error', (error) => (isNobodyThere(error) ? resolve(false) : reject(error)));
  return promise.finally(() => socket.destroy());
}

/** Who runs the command line: the user of the system, and who they were before `sudo`. */
export function operatorName(): string {
  const { username } = userInfo();
  const { SUDO_USER: before } = process.env;
  return before === undefined || before === username ? username : `${before} as ${username}`;
}

/** No socket, or one left over by a server that was killed. */
function isNobodyThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED');
}

function post(socketPath: string, path: string, body: object): Promise<OperatorAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<OperatorAnswer>();
  const text = JSON.stringify(body);
  const outgoing = request(
    {
      socketPath,
      path,
      method: 'POST',
      agent: false,
      timeout: ANSWER_TIMEOUT_MS,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        [OPERATOR_HEADER]: Buffer.from(operatorName(), 'utf8').toString('latin1'),
      },
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString('utf8')) });
        } catch (error) {
          reject(error);
        }
      });
    },
  );
  outgoing.on('timeout', () => outgoing.destroy(new Error('the server did not answer in time')));
  outgoing.on('error', reject);
  outgoing.end(text);
  return promise;
}
