/** The tables of rooms without the projection that fills them, for benchmarks of what the projection is made of. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EMPTY_CHECKPOINT, Environment } from '#projections/engine/environment.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { RowReader, RowWriter } from '#projections/engine/row-access.ts';
import type { AnyTable } from '#projections/engine/table.ts';
import { authChainTables } from '#projections/rooms/auth-chains/index.ts';
import { stateTables } from '#projections/rooms/state/index.ts';
import { roomTables } from '#projections/rooms/tables.ts';

export interface RoomTables {
  readonly reader: Reader;
  /** Runs in a transaction of its own. */
  write(change: (tx: Writer) => void): void;
  /** Bytes of the pages that some tables take. */
  bytesOf(tables: readonly AnyTable[]): number;
  close(): Promise<void>;
}

interface PageCounts {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

/** @param more further tables, of the benchmark. */
export async function openRoomTables(more: readonly AnyTable[] = []): Promise<RoomTables> {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-bench-rooms-'));
  const tables = [...new Set([...roomTables, ...stateTables, ...authChainTables, ...more])];
  const projection: Projection = { name: 'rooms', version: 1, tables, apply: () => undefined };
  const environment = new Environment({ path: folder, projections: [projection] });
  const writer = new RowWriter(environment);
  writer.owner = projection;
  return {
    reader: new RowReader(environment, () => 0),
    write(change) {
      environment.commit(() => {
        change(writer);
        return EMPTY_CHECKPOINT;
      });
    },
    bytesOf(of) {
      const pages = of.map((table) => environment.store(table)?.db.getStats() as PageCounts);
      return pages.reduce(
        (sum, { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages }) =>
          sum + pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages),
        0,
      );
    },
    async close() {
      await environment.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** CPU time in µs of this thread while something runs: what else the machine does leaves it as it is. */
export function cpuUs(run: () => void): number {
  const before = process.threadCpuUsage();
  run();
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}

/** Shortest CPU time in µs over which something quick is measured: the clock of a thread is coarse. */
const MEASURE_US = 100_000;

/** CPU time in µs of one run of something that can be repeated, once it is warm. */
export function cpuUsPerRun(run: () => void): number {
  run();
  for (let runs = 1; ; runs *= 2) {
    const us = cpuUs(() => {
      for (let done = 0; done < runs; done += 1) run();
    });
    if (us >= MEASURE_US) return us / runs;
  }
}

/** The same numbers on every run, from 0 to below 1. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
