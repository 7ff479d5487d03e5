import type { Bus } from '#src/bus/bus.ts';
import type { FederationRequest } from '#src/federation/client.ts';
import { LastingEduLog } from '#src/federation/edus/lasting.ts';
import { Sender } from '#src/federation/outbound/sender.ts';
import { silentLog } from '#src/log/logger.ts';
import type { TestServer } from '#test/support/federation.ts';

/** What was said in a transaction, and the types of its EDUs. */
export interface SentTransaction {
  readonly said: readonly string[];
  readonly edus: readonly string[];
}

/** What sends for a server, in the place of its own sender: what it sends arrives nowhere but here. */
export class SendingNode {
  readonly sender: Sender;
  readonly transactions: SentTransaction[] = [];
  /** What comes of a transaction: it is under way until that resolves, and does not arrive if that rejects. */
  answer: () => Promise<void> = async () => {};

  /** @param bus default: that of the server, which it then shares with others */
  constructor(server: TestServer, name: string, bus: Bus = server.context.bus) {
    const { commands, federation, log, newRecordId, reader, serverName, clock } = server.context;
    this.sender = new Sender({
      serverName,
      reader,
      bus,
      log,
      client: { request: (request) => this.#take(request) },
      destinations: federation.destinations,
      commands,
      lasting: new LastingEduLog(reader, serverName),
      newRecordId,
      clock,
      epoch: name,
      counts: federation.counts,
      logger: silentLog(),
    });
    this.sender.start();
  }

  /** What it was the one to send, in order: what was said, and types of EDUs. */
  get sent(): string[] {
    return this.transactions.flatMap(({ said, edus }) => [...said, ...edus]);
  }

  async #take({ canonicalContent = '', signal }: FederationRequest): Promise<Record<string, never>> {
    const { pdus, edus } = JSON.parse(canonicalContent) as {
      readonly pdus: readonly { readonly content: { readonly body?: string } }[];
      readonly edus: readonly { readonly edu_type: string }[];
    };
    const { answer } = this;
    const brokenOff = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    this.transactions.push({
      said: pdus.map(({ content }) => content.body ?? ''),
      edus: edus.map((edu) => edu.edu_type),
    });
    await Promise.race([answer(), brokenOff]);
    return {};
  }

  close(): Promise<void> {
    return this.sender.close();
  }
}
