/**
 * Sends entries to syslog: RFC 5424 messages, over UDP one a datagram (RFC 5426), over TCP, TLS (RFC 5425) and Unix stream sockets
 * with their length before each (RFC 6587). Nothing comes back from syslog: an entry counts as sent when the system has taken it.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { AuditEntryJson } from '../entry-json.ts';
import type { AuditSink } from './sink.ts';

/** The facility `log audit`. */
const FACILITY = 13;
const NOTICE = 5;
const WARNING = 4;
/** What is usual for the message id, which is the action. */
const MAX_MESSAGE_ID_LENGTH = 32;
/** Largest datagram, which most collectors take; of a larger entry `before` and `after` are left out. */
const MAX_DATAGRAM_BYTES = 8 * 1024;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'udp:': 514, 'tcp:': 601, 'tls:': 6514 };
/** How long a connection may take to come about, and to take what is written. */
const TIMEOUT_MS = 10_000;

/** What is said of `/dev/log` where it is such a socket, as systemd's is: Node has no datagrams for Unix sockets. */
const DATAGRAMS_ONLY =
  'is a socket for datagrams, which cannot be sent to Unix sockets from here: let the syslog daemon listen on the loopback ' +
  '(udp://127.0.0.1:514, tcp://127.0.0.1:601), or on a stream socket';

export interface SyslogOptions {
  /** `udp://HOST:PORT`, `tcp://…`, `tls://…`, `unix:///PATH` of a stream socket. */
  readonly url: string;
  /** Who sends. */
  readonly serverName: string;
}

/** A sink for syslog. @throws {TypeError} for a URL that is none of those. */
export function syslogSink({ url, serverName }: SyslogOptions): AuditSink {
  const parsed = new URL(url);
  const host = serverName.replace(/[^!-~]/g, '-').slice(0, 255);
  const name = `syslog ${parsed.protocol}//${parsed.host}${parsed.protocol === 'unix:' ? parsed.pathname : ''}`;
  if (parsed.protocol === 'udp:') return datagrams(name, parsed, host);
  return new StreamSink(name, () => connectTo(parsed), host);
}

/** An entry as one RFC 5424 message. */
export function syslogMessage(entry: AuditEntryJson, host: string): Buffer {
  const severity = entry.outcome === 'allowed' ? NOTICE : WARNING;
  const messageId = entry.action.replace(/[^!-~]/g, '-').slice(0, MAX_MESSAGE_ID_LENGTH);
  const head = `<${FACILITY * 8 + severity}>1 ${entry.at} ${host} stele ${process.pid} ${messageId} -`;
  return Buffer.from(`${head} ${JSON.stringify(entry)}`, 'utf8');
}

function datagrams(name: string, url: URL, host: string): AuditSink {
  const address = hostOf(url);
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  // Errors of single datagrams come to their senders.
  socket.on('error', () => {});
  socket.unref();
  return {
    name,
    async send(entries) {
      for (const entry of entries) {
        const whole = syslogMessage(entry, host);
        const message = whole.length <= MAX_DATAGRAM_BYTES ? whole : syslogMessage(withoutDetails(entry), host);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        socket.send(message, portOf(url), address, (error) => (error ? reject(error) : resolve()));
        await promise;
      }
    },
    close: async () => {
      socket.close();
    },
  };
}

function withoutDetails(entry: AuditEntryJson): AuditEntryJson {
  const { before: _before, after: _after, ...rest } = entry;
  return { ...rest, details_left_out: true } as AuditEntryJson;
}

/** Keeps one connection; a new one is made when that is gone. */
class StreamSink implements AuditSink {
  readonly name: string;
  readonly #connect: () => Promise<Socket>;
  readonly #host: string;
  #socket: Socket | undefined;

  constructor(name: string, open: () => Promise<Socket>, host: string) {
    this.name = name;
    this.#connect = open;
    this.#host = host;
  }

  async send(entries: readonly AuditEntryJson[]): Promise<void> {
    if (this.#socket === undefined || this.#socket.destroyed || !this.#socket.writable) {
      this.#socket = await this.#connect();
    }
    const socket = this.#socket;
    const framed = entries.map((entry) => {
      const message = syslogMessage(entry, this.#host);
      return Buffer.concat([Buffer.from(`${message.length} `), message]);
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timeout = setTimeout(() => socket.destroy(new Error('syslog takes nothing')), TIMEOUT_MS);
    socket.once('close', reject);
    socket.write(Buffer.concat(framed), (error) => (error ? reject(error) : resolve()));
    try {
      await promise;
    } finally {
      clearTimeout(timeout);
      socket.off('close', reject);
    }
  }

  async close(): Promise<void> {
    this.#socket?.end();
  }
}

async function connectTo(url: URL): Promise<Socket> {
  const host = hostOf(url);
  const [socket, event] =
    url.protocol === 'unix:'
      ? [connect({ path: decodeURIComponent(url.pathname) }), 'connect']
      : url.protocol === 'tls:'
        ? [connectTls({ host, port: portOf(url), servername: isIPv6(host) ? '' : host }), 'secureConnect']
        : [connect({ host, port: portOf(url) }), 'connect'];
  try {
    await once(socket, event, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    socket.destroy();
    throw takesDatagrams(error) ? new Error(`${url.pathname} ${DATAGRAMS_ONLY}`, { cause: error }) : error;
  }
  socket.on('error', () => {});
  // Syslog says nothing; reading is how the end of the connection is noticed.
  socket.resume();
  socket.unref();
  return socket;
}

/** Whether a Unix socket is one for datagrams. */
function takesDatagrams(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EPROTOTYPE';
}

function hostOf({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

function portOf({ port, protocol }: URL): number {
  return port === '' ? (DEFAULT_PORTS[protocol] ?? 514) : Number(port);
}
