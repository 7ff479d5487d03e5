/** A load generator for one machine: closed-loop senders over raw sockets, so that it takes as little of the CPU as it can. */
import { connect, type Socket } from 'node:net';

/** What a load came to. */
export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** Latencies in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  /** Connections, each sending its next request when the answer to the last is there. */
  readonly senders: number;
  /** How long to send, in milliseconds. */
  readonly durationMs: number;
  /** Requests before the clock starts, for each sender. */
  readonly warmUp?: number;
  /** The next request of a sender: its bytes. */
  request(sender: number, count: number): string;
}

/** A whole HTTP/1.1 request with a JSON body. */
export function jsonRequest(method: string, path: string, token: string, body: string): string {
  return (
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

/** Sends requests for a while. Throws if any is answered with another status than 200. */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const latencies: number[] = [];
  const state = { startedMs: 0, endMs: Number.POSITIVE_INFINITY };
  const warmUp = options.warmUp ?? 20;
  let warm = 0;
  let begin: () => void = () => undefined;
  const everyoneWarm = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const senders = Array.from({ length: options.senders }, async (_, sender) => {
    const connection = await Connection.open(options.host, options.port);
    let count = 0;
    for (; count < warmUp; count++) await connection.exchange(options.request(sender, count));
    warm += 1;
    if (warm === options.senders) {
      state.startedMs = performance.now();
      state.endMs = state.startedMs + options.durationMs;
      begin();
    }
    await everyoneWarm;
    for (;;) {
      const sentMs = performance.now();
      if (sentMs >= state.endMs) break;
      await connection.exchange(options.request(sender, count++));
      latencies.push(performance.now() - sentMs);
    }
    connection.close();
  });
  await Promise.all(senders);
  const seconds = (performance.now() - state.startedMs) / 1000;
  return { requests: latencies.length, seconds, perSecond: latencies.length / seconds, ...quantiles(latencies) };
}

/** Median, 99th percentile and greatest of some milliseconds. */
export function quantiles(latencies: number[]): { p50Ms: number; p99Ms: number; maxMs: number } {
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** A kept-alive connection that carries one request at a time. */
export class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #resolve: ((body: Buffer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#reject?.(error));
    socket.on('close', () => this.#reject?.(new Error('the server closed the connection')));
  }

  static open(host: string, port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port }, () => resolve(new Connection(socket)));
      socket.once('error', reject);
    });
  }

  /** Sends a request and gives the body of its answer. */
  exchange(request: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#reject = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.#received.toString('latin1', 0, headEnd);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const end = headEnd + HEAD_END.length + length;
    if (this.#received.length < end) return;
    const body = this.#received.subarray(headEnd + HEAD_END.length, end);
    this.#received = this.#received.subarray(end);
    if (head.startsWith('HTTP/1.1 200')) this.#resolve?.(body);
    else this.#reject?.(new Error(`${head.split('\r\n')[0]}: ${body.toString('utf8')}`));
  }
}
