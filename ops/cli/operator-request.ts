/** Asks the server that has a data folder open, or opens the folder for as long as the question takes. */
import { request } from 'node:http';
import type { Config } from '#src/config/schema.ts';
import { silentLog } from '#src/log/logger.ts';
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
  const socketPath = operatorSocketPath(config.data_dir);
  try {
    return await post(socketPath, path, body);
  } catch (error) {
    if (!isNobodyThere(error)) throw error;
  }
  const { startServer } = await import('#src/server.ts');
  const server = await startServer({ ...config, listeners: [] }, { logger: silentLog() });
  try {
    return await post(socketPath, path, body);
  } finally {
    await server.stop();
  }
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
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
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
