/** A port that leads to another one, and can be shut: what is behind it is then gone, as it is when a network is parted. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Gate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isOpen = true;
  #target: number | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** A gate at a free port of 127.0.0.1; nothing is behind it yet. */
  static async make(): Promise<Gate> {
    const server = createServer();
    const gate = new Gate(server);
    server.on('connection', (socket: Socket) => gate.#pass(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Which port of 127.0.0.1 is behind it. */
  leadTo(port: number): void {
    this.#target = port;
  }

  /** Breaks off every connection and lets none through. */
  shut(): void {
    this.#isOpen = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  open(): void {
    this.#isOpen = true;
  }

  async close(): Promise<void> {
    this.shut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #pass(from: Socket): void {
    from.on('error', () => {});
    if (!this.#isOpen || this.#target === undefined) {
      from.destroy();
      return;
    }
    const to = connect(this.#target, '127.0.0.1');
    to.on('error', () => {});
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    from.pipe(to);
    to.pipe(from);
  }
}
