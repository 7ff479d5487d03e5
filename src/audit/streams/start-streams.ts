import { createHash } from 'node:crypto';
import path from 'node:path';
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Config } from '#src/config/schema.ts';
import type { Logger } from '#src/log/logger.ts';
import { fileSink } from './file-sink.ts';
import { Forwarder } from './forwarder.ts';
import { natsSink } from './nats-sink.ts';
import type { AuditSink } from './sink.ts';
import { syslogSink } from './syslog-sink.ts';

type StreamConfig = Config['audit']['streams'][number];

/** Characters of the digest that names the file of a stream's position. */
const NAME_LENGTH = 16;

/** Starts to pass the audit log on to wherever the configuration says. */
export function startAuditStreams(
  { config, engine, logger }: { readonly config: Config; readonly engine: ProjectionEngine; readonly logger: Logger },
  folder: string,
): readonly Forwarder[] {
  return config.audit.streams.map((stream) => {
    const sink = sinkOf(stream, config.server_name);
    const digest = createHash('sha256').update(sink.name).digest('hex').slice(0, NAME_LENGTH);
    const forwarder = new Forwarder({ engine, sink, file: path.join(folder, `${stream.to}-${digest}`), logger });
    forwarder.start();
    return forwarder;
  });
}

function sinkOf({ to, path: file, url, subject }: StreamConfig, serverName: string): AuditSink {
  if (to === 'file' && file !== null) return fileSink(file);
  if (to === 'syslog' && url !== null) return syslogSink({ url, serverName });
  if (to === 'nats' && url !== null) return natsSink({ url, subject });
  throw new Error(`an audit stream to ${to} is not complete`);
}
