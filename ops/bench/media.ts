/** Media of 1 GiB up and down: how fast, and how much memory the server takes for it. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { BenchResult } from './result.ts';
import { type BenchServer, startServer } from './server.ts';

const SIZE_BYTES = 1024 ** 3;
const CHUNK = randomBytes(256 * 1024);
/** More memory than this while a file goes through is too much. */
const MEMORY_BUDGET_MIB = 64;
const SAMPLE_INTERVAL_MS = 50;
const MIB = 1024 ** 2;

export async function runMediaBench(): Promise<BenchResult[]> {
  const bareMibPerS = await bareWrite();
  process.env['STELE_MEDIA__MAX_UPLOAD'] = '2GiB';
  const server = await startServer();
  delete process.env['STELE_MEDIA__MAX_UPLOAD'];
  try {
    const { token } = await server.register('owner');
    // What is loaded and compiled with the first file is not counted.
    await download(server, token, await upload(server, token, 8 * MIB), 8 * MIB);
    const idleMib = await residentMib(server.pid);
    const up = await measured(server, () => upload(server, token, SIZE_BYTES));
    const down = await measured(server, () => download(server, token, up.result, SIZE_BYTES));
    const rate = ({ seconds }: Measured<unknown>): number => SIZE_BYTES / MIB / seconds;
    const speed = (name: string, one: Measured<unknown>): BenchResult => ({
      name,
      figure: rate(one),
      unit: 'MiB/s',
      ceiling: bareMibPerS,
      ceilingName: 'bare SHA-256 + write + fdatasync',
      ratio: rate(one) / bareMibPerS,
      details: {},
    });
    const memory = (name: string, one: Measured<unknown>): BenchResult => ({
      name,
      figure: Math.max(0, one.peakMib - idleMib),
      unit: 'MiB',
      ceiling: MEMORY_BUDGET_MIB,
      ceilingName: 'budget',
      ratio: Math.max(0, one.peakMib - idleMib) / MEMORY_BUDGET_MIB,
      details: { 'before MiB': Math.round(idleMib) },
    });
    return [
      speed('1 GiB up', up),
      speed('1 GiB down', down),
      memory('memory for 1 GiB up', up),
      memory('memory for 1 GiB down', down),
    ];
  } finally {
    await server.stop();
  }
}

interface Measured<T> {
  readonly result: T;
  readonly seconds: number;
  /** Most memory that the server was seen to have meanwhile. */
  readonly peakMib: number;
}

async function measured<T>({ pid }: BenchServer, work: () => Promise<T>): Promise<Measured<T>> {
  let peakMib = await residentMib(pid);
  const sampler = setInterval(() => {
    void residentMib(pid).then((mib) => {
      peakMib = Math.max(peakMib, mib);
    });
  }, SAMPLE_INTERVAL_MS);
  const startedMs = performance.now();
  try {
    const result = await work();
    return { result, seconds: (performance.now() - startedMs) / 1000, peakMib };
  } finally {
    clearInterval(sampler);
  }
}

/** Uploads so many bytes, and gives the `<server>/<media id>`. */
async function upload({ host, port }: BenchServer, token: string, sizeBytes: number): Promise<string> {
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/octet-stream',
    'content-length': sizeBytes,
  };
  const request = httpRequest({ host, port, method: 'POST', path: '/_matrix/media/v3/upload', headers, agent: false });
  const answered = once(request, 'response');
  for (let sent = 0; sent < sizeBytes; sent += CHUNK.length) {
    if (!request.write(CHUNK)) await once(request, 'drain');
  }
  request.end();
  const [response] = (await answered) as [IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString('utf8');
  if (response.statusCode !== 200) throw new Error(`an upload was answered with ${response.statusCode} ${text}`);
  return String((JSON.parse(text) as { content_uri: string }).content_uri).slice('mxc://'.length);
}

async function download({ host, port }: BenchServer, token: string, id: string, sizeBytes: number): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const at = `/_matrix/client/v1/media/download/${id}`;
  const request = httpRequest({ host, port, path: at, headers, agent: false });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let received = 0;
  for await (const chunk of response) received += (chunk as Buffer).length;
  if (received !== sizeBytes) throw new Error(`${received} bytes came back of ${sizeBytes}`);
}

/** How fast the machine hashes and writes the same bytes with nothing around it. */
async function bareWrite(): Promise<number> {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-bench-media-'));
  try {
    const file = await open(path.join(folder, 'bare'), 'wx');
    const digest = createHash('sha256');
    const startedMs = performance.now();
    for (let written = 0; written < SIZE_BYTES; written += CHUNK.length) {
      digest.update(CHUNK);
      await file.write(CHUNK);
    }
    await file.datasync();
    const seconds = (performance.now() - startedMs) / 1000;
    await file.close();
    return SIZE_BYTES / MIB / seconds;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}
