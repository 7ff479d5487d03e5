/**
 * How the command line talks to the server that has the data folder open: a Unix socket in that folder. Whoever may open
 * the socket may read the data folder anyway, so no secret is needed; the file system says who that is.
 */
import { chmod, rm } from 'node:fs/promises';
import path from 'node:path';
import { createHttpApp } from '#src/http/app.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Guard } from '#src/http/guard.ts';
import type { Logger } from '#src/log/logger.ts';

/** Longest path of a Unix socket, in bytes, on every system that has them. */
const MAX_SOCKET_PATH_BYTES = 103;

export interface OperatorSocketOptions<C> {
  readonly dataDir: string;
  /** Each with `auth: 'none'`. */
  readonly endpoints: readonly Endpoint<C>[];
  readonly context: C;
  /** Needed where endpoints are on record. */
  readonly guard?: Guard | undefined;
  readonly log: Logger;
}

export interface OperatorSocket {
  close(): Promise<void>;
}

/** Where the socket of a data folder is. */
export function operatorSocketPath(dataDir: string): string {
  return path.join(dataDir, 'operator.sock');
}

/**
 * Listens on the socket of a data folder, which this process must have to itself: a socket left over by a server that
 * was killed is replaced. Where the path is too long for a socket there is none, and the log says so.
 */
export async function openOperatorSocket<C>(options: OperatorSocketOptions<C>): Promise<OperatorSocket> {
  const socketPath = operatorSocketPath(options.dataDir);
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    options.log.warn(
      'The path of the data folder is too long for a socket: `stele users add` needs the server stopped.',
    );
    return { close: async () => {} };
  }
  const app = createHttpApp<C>({
    endpoints: options.endpoints,
    context: options.context,
    guard: options.guard,
    authenticate: () => {
      throw new MatrixError('M_UNRECOGNIZED');
    },
    log: options.log,
    closing: new AbortController().signal,
  });
  await rm(socketPath, { force: true });
  await app.listen({ path: socketPath });
  await chmod(socketPath, 0o600);
  return { close: () => app.close() };
}
