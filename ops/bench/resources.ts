/** What the server takes: time to start, memory when idle and after load, disk for what was sent. */
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { jsonRequest, load } from './load.ts';
import type { BenchResult } from './result.ts';
import { startServer } from './server.ts';

const SENDERS = 8;
const DURATION_MS = 10_000;
const BODY = JSON.stringify({ msgtype: 'm.text', body: 'x'.repeat(160) });
/** Budgets: DESIGN of the project, "Budgets". */
const START_BUDGET_MS = 1000;
const IDLE_BUDGET_MIB = 150;
const DISK_BUDGET_RATIO = 2.5;
/** How the JSON of an event of this load is made up, for the raw size: the PDU as another server would get it. */
const SAMPLE_PDU_BYTES = 980;

export async function runResourcesBench(): Promise<BenchResult[]> {
  const server = await startServer();
  try {
    const idleMib = await residentMib(server.pid);
    const owner = await server.register('owner');
    const room = await owner.createRoom({ preset: 'public_chat' });
    const before = await folderBytes(server.dataDir);
    const sent = await load({
      host: server.host,
      port: server.port,
      senders: SENDERS,
      durationMs: DURATION_MS,
      warmUp: 0,
      request: (sender, count) =>
        jsonRequest(
          'PUT',
          `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/d${sender}-${count}`,
          owner.token,
          BODY,
        ),
    });
    const after = await folderBytes(server.dataDir);
    const loadedMib = await residentMib(server.pid);
    const bytesPerEvent = (after - before) / sent.requests;
    return [
      budget('start on an empty folder', server.startMs, 'ms', START_BUDGET_MS),
      budget('memory, idle', idleMib, 'MiB', IDLE_BUDGET_MIB, { 'after load MiB': Math.round(loadedMib) }),
      {
        name: 'disk for an event, log and projections',
        figure: bytesPerEvent,
        unit: 'bytes',
        ceiling: SAMPLE_PDU_BYTES,
        ceilingName: 'its JSON',
        ratio: bytesPerEvent / SAMPLE_PDU_BYTES,
        details: { events: sent.requests, 'budget ratio': DISK_BUDGET_RATIO },
      },
    ];
  } finally {
    await server.stop();
  }
}

function budget(
  name: string,
  figure: number,
  unit: string,
  most: number,
  details: BenchResult['details'] = {},
): BenchResult {
  return { name, figure, unit, ceiling: most, ceilingName: 'budget', ratio: figure / most, details };
}

async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}

/** Bytes that a folder holds, not counting what is preallocated or reserved but empty. */
async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const { blocks } = await stat(path.join(entry.parentPath, entry.name));
    bytes += blocks * 512;
  }
  return bytes;
}
