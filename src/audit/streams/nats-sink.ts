import type { NatsConnection } from 'nats';
import type { AuditEntryJson } from '../entry-json.ts';
import type { AuditSink } from './sink.ts';

export interface NatsSinkOptions {
  /** `nats://HOST:PORT`, with user and password where they are needed. */
  readonly url: string;
  readonly subject: string;
}

/** How long NATS may take to answer. */
const TIMEOUT_MS = 10_000;

/** Publishes each entry as a message of JSON; they count as sent once the NATS server has them. */
export function natsSink({ url, subject }: NatsSinkOptions): AuditSink {
  const { username, password, host } = new URL(url);
  let connection: NatsConnection | undefined;
  const connected = async (): Promise<NatsConnection> => {
    if (connection?.isClosed() === false) return connection;
    const { connect } = await import('nats');
    connection = await connect({
      servers: host,
      name: 'stele audit',
      timeout: TIMEOUT_MS,
      // Who sends tries again itself, and then sends what may have been lost.
      reconnect: false,
      ...(username !== '' && { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
    });
    return connection;
  };
  return {
    name: `nats ${host} ${subject}`,
    async send(entries: readonly AuditEntryJson[]) {
      const nats = await connected();
      for (const entry of entries) nats.publish(subject, JSON.stringify(entry));
      await nats.flush();
    },
    close: async () => {
      await connection?.close();
    },
  };
}
