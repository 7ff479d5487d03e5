/** Asks the server that has a data folder open, or opens the folder for as long as the question takes. */
import { request } from 'node:http';
import { connect } from 'node:net';
import type { Config } from '#src/config/schema.ts';
import { silentLog } from '#src/log/logger.ts';
import { OPERATOR_HEADER } from '#src/operator/operator-guard.ts';
import { operatorSocketPath } from '#src/operator/operator-socket.ts';
import { operatorName } from './operator-name.ts';

/** How long the server may take to answer what it answers from its tables. */
const ANSWER_TIMEOUT_MS = 30_000;
/** How long it may take to answer what it goes through its whole log for: whoever asks can end it before. */
export const WHOLE_LOG_TIMEOUT_MS = 24 * 60 * 60_000;

/** The server does not do what it was asked; the message is the sentence in which it says why. */
export class OperatorRefusal extends Error {
  override readonly name = 'OperatorRefusal';
}

/**
 * Posts to an operator endpoint and gives the body of the answer, of the shape that the endpoint declares. If no server runs, one is
 * started on the data folder that listens on nothing but its operator socket, and stopped afterwards.
 * @throws {OperatorRefusal}
 */
export async function askServer<Answer extends object>(
  config: Config,
  path: string,
  body: object,
  timeoutMs?: number,
): Promise<Answer> {
  return withServer(config, (ask) => ask<Answer>(path, body, timeoutMs));
}

/** Posts to an operator endpoint and gives the body of the answer. @throws {OperatorRefusal} */
export type AskServer = <Answer extends object>(path: string, body: object, timeoutMs?: number) => Promise<Answer>;

/** The same for several questions; `isRunning` says whether there was a server without us. */
export async function withServer<Result>(
  config: Config,
  work: (ask: AskServer, isRunning: boolean) => Promise<Result>,
): Promise<Result> {
  const socketPath = operatorSocketPath(config.data_dir);
  const ask: AskServer = async <Answer>(path: string, body: object, timeoutMs = ANSWER_TIMEOUT_MS) => {
    const answer = await post(socketPath, path, body, timeoutMs);
    if (answer.status !== 200) throw new OperatorRefusal(String(answer.body['error']));
    return answer.body as Answer;
  };
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

/** No socket, or one left over by a server that was killed. */
function isNobodyThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED');
}

interface HttpAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

function post(socketPath: string, path: string, body: object, timeoutMs: number): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const text = JSON.stringify(body);
  const outgoing = request(
    {
      socketPath,
      path,
      method: 'POST',
      agent: false,
      timeout: timeoutMs,
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
