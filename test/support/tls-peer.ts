/** Servers with certificates of test/fixtures/tls, which answer as a test wishes: well or badly. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), 'utf8');
}

/** The authority that only tests trust, as PEM. */
export const TEST_CA = fixture('ca.crt');

/** A certificate and its key. */
export const TLS_FILES = {
  /** For localhost, one.test, two.test, three.test, 127.0.0.1 and ::1. */
  servers: { cert: fixture('servers.crt'), key: fixture('servers.key') },
  /** For stranger.test. */
  stranger: { cert: fixture('stranger.crt'), key: fixture('stranger.key') },
} as const;

/** Where the files of {@link TLS_FILES}.servers are, for configurations. */
export const TLS_PATHS = {
  ca: new URL('../fixtures/tls/ca.crt', import.meta.url).pathname,
  cert: new URL('../fixtures/tls/servers.crt', import.meta.url).pathname,
  key: new URL('../fixtures/tls/servers.key', import.meta.url).pathname,
} as const;

export interface TlsPeer {
  readonly port: number;
  /** `METHOD path` of each request that came in. */
  readonly requests: readonly string[];
  /** The server name that each TLS handshake asked for. */
  readonly serverNames: readonly (string | false | null)[];
  /** How many connections were made. */
  readonly connections: number;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function startTlsPeer(
  answer: RequestListener,
  certificate: keyof typeof TLS_FILES = 'servers',
): Promise<TlsPeer> {
  const requests: string[] = [];
  const serverNames: (string | false | null)[] = [];
  const sockets = new Set<Socket>();
  const server = createServer(TLS_FILES[certificate], (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    answer(request, response);
  });
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('secureConnection', ({ servername }) => serverNames.push(servername));
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    serverNames,
    get connections() {
      return connections;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
}

/** Answers with a JSON object. */
export function answerJson(body: object, status = 200): RequestListener {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
}
