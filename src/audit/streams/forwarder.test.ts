import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { auditProjection } from '#projections/audit/projection.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { StreamCommands } from '#src/commands/stream-command.ts';
import { silentLog } from '#src/log/logger.ts';
import { newRecordId } from '#src/record-ids.ts';
import { type MemoryLog, openMemoryLog } from '#streams/memory/memory-log.ts';
import { Audit } from '../audit.ts';
import { Forwarder } from './forwarder.ts';
import type { AuditSink } from './sink.ts';

let dir: string;
let log: MemoryLog;
let engine: ProjectionEngine;
let audit: Audit;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'stele-forward-'));
  log = openMemoryLog();
  engine = await ProjectionEngine.open({ dir, log, projections: [auditProjection], safeCopies: false });
  const commands = new StreamCommands({ log, caughtUp: () => engine.waitFor(log.head()) });
  audit = new Audit({ commands, newRecordId });
});
afterEach(async () => {
  await engine.close();
  await log.close();
  await rm(dir, { recursive: true });
});

const record = (id: string) =>
  audit.record({ actor: { kind: 'server', task: 'test' }, action: 'server.read', target: { kind: 'server', id } });

/** A sink that keeps what it gets, refuses when told to, and says when it has an entry. */
class Collector implements AuditSink {
  readonly name = 'a test';
  readonly got: string[] = [];
  attempts = 0;
  isRefusing = false;
  #check = (): void => {};

  async send(entries: Parameters<AuditSink['send']>[0]): Promise<void> {
    this.attempts += 1;
    if (this.isRefusing) throw new Error('not now');
    this.got.push(...entries.map((entry) => (entry['target'] as { id: string }).id));
    this.#check();
  }

  async close(): Promise<void> {}

  until(id: string): Promise<void> {
    return new Promise((resolve) => {
      this.#check = () => {
        if (this.got.includes(id)) resolve();
      };
      this.#check();
    });
  }
}

function forwarderTo(sink: AuditSink, wait?: () => Promise<void>): Forwarder {
  const file = path.join(dir, 'position');
  const forwarder = new Forwarder({ engine, sink, file, logger: silentLog(), ...(wait && { wait }) });
  forwarder.start();
  return forwarder;
}

test('everything comes once and in order: what was there, what comes, and what came between two runs', async () => {
  for (let count = 0; count < 450; count += 1) void record(`before ${count}`);
  await audit.settled();
  const sink = new Collector();
  const forwarder = forwarderTo(sink);
  await record('while');
  await sink.until('while');
  await forwarder.close();
  expect(sink.got).toHaveLength(451);
  expect(sink.got).toEqual([...Array.from({ length: 450 }, (_, count) => `before ${count}`), 'while']);
  expect(await readFile(path.join(dir, 'position'), 'utf8')).toBe(`${log.head()}\n`);
  await record('between');
  const later = new Collector();
  const next = forwarderTo(later);
  await later.until('between');
  await next.close();
  expect(later.got).toEqual(['between']);
});

test('a sink that fails is tried again until it takes the entry, and holds up nothing', async () => {
  const sink = new Collector();
  sink.isRefusing = true;
  const waits = Promise.withResolvers<void>();
  let tries = 0;
  const forwarder = forwarderTo(sink, async () => {
    tries += 1;
    if (tries === 3) waits.resolve();
    if (tries > 3) await new Promise((resolve) => setImmediate(resolve));
  });
  await record('one');
  await waits.promise;
  await record('two');
  sink.isRefusing = false;
  await sink.until('two');
  expect(sink.got).toEqual(['one', 'two']);
  expect(sink.attempts).toBeGreaterThan(3);
  await forwarder.close();
});
