/** How fast a case is exported: every form of every event, with the proofs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { coreProjections } from '#projections/catalogue.ts';
import { rebuild } from '#projections/engine/replay.ts';
import { dataPaths } from '#src/data-paths.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { openLog, openLogReadOnly } from '#streams/open-log.ts';
import { openSigningKey } from '#streams/transparency/signing-key.ts';
import { TransparencyLog } from '#streams/transparency/transparency-log.ts';
import { exportCase } from '../export/export-case.ts';
import { verifyExport } from '../export/verify-export.ts';
import { readDataFolder } from '../rooms/data-folder.ts';
import { writeRooms } from './rebuild.ts';
import type { BenchResult } from './result.ts';

export interface ExportBenchOptions {
  /** Default 50,000. */
  readonly events?: number;
}

/** Writes a log of rooms, exports all of it, checks the export, and reads the same log with nothing else. */
export async function runExportBench(options: ExportBenchOptions = {}): Promise<BenchResult> {
  const events = options.events ?? 50_000;
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-bench-export-'));
  try {
    const paths = dataPaths(folder);
    const signer = await openSigningKey({
      keyFile: paths.logSigningKey,
      origin: 'bench.invalid/stele-log',
      folder: paths.transparency,
    });
    let tree: TransparencyLog | undefined;
    const writing = await openLog({ folder: paths.log, onCommit: (leaves) => tree?.add(leaves) });
    tree = await TransparencyLog.open({
      folder: paths.transparency,
      signer,
      leaves: { size: () => writing.head() + 1, readLeaves: (index) => writing.readLeaves(index - 1) },
    });
    await writeRooms(writing, events);
    await tree.close();
    await writing.close();
    const log = await openLogReadOnly({ folder: paths.log });
    try {
      await rebuild({ dir: paths.projections, projections: coreProjections, log });
      const ceiling = await rate(events, async () => {
        for await (const _ of log.readAll(BEFORE_FIRST));
      });
      const out = path.join(folder, 'export');
      const figure = await rate(events, () =>
        readDataFolder(folder, async ({ reader }) => {
          await exportCase({
            folder: out,
            caseId: 'bench',
            query: { users: [], rooms: [] },
            data: { reader },
            log,
            transparencyFolder: paths.transparency,
            mediaFolder: paths.media,
            remoteMediaFolder: paths.remoteMedia,
            serverName: 'bench.invalid',
            signer,
          });
        }),
      );
      const checked = await rate(events, async () => {
        const report = await verifyExport({ folder: out, trustedKey: signer.verifier.text });
        if (report.findings.length > 0 || report.events !== events) throw new Error('the export did not verify');
      });
      return {
        name: 'export of a case, in all forms',
        figure,
        unit: 'events/s',
        ceiling,
        ceilingName: 'reading and opening the same log',
        ratio: figure / ceiling,
        details: { events, 'checked again, events/s': checked },
      };
    } finally {
      await log.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function rate(events: number, work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return Math.round((1000 * events) / (performance.now() - startedMs));
}
