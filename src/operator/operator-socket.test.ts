import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endpoint } from '#src/http/endpoint.ts';
import { logTo, silentLog } from '#src/log/logger.ts';
import { openOperatorSocket, operatorSocketPath } from './operator-socket.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-operator-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const ping = endpoint({
  method: 'POST',
  path: '/_stele/operator/ping',
  auth: 'none',
  rateLimit: 'none',
  handler: (_request, context: { readonly name: string }) => ({ from: context.name }),
});

async function ask(dataDir: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  request(
    { socketPath: operatorSocketPath(dataDir), path: '/_stele/operator/ping', method: 'POST', agent: false },
    (response) => response.setEncoding('utf8').on('data', resolve),
  )
    .on('error', reject)
    .end();
  return promise;
}

test('answers on a socket that only its owner can open, and replaces a left over one', async () => {
  await writeFile(operatorSocketPath(folder), 'left over');
  const options = { dataDir: folder, endpoints: [ping], context: { name: 'here' }, log: silentLog() };
  const socket = await openOperatorSocket(options);
  expect((await stat(operatorSocketPath(folder))).mode & 0o777).toBe(0o600);
  expect(JSON.parse(await ask(folder))).toEqual({ from: 'here' });
  await socket.close();
  await expect(ask(folder)).rejects.toThrow(/ENOENT|ECONNREFUSED/);
});

test('a path that is too long is said, and is no reason not to start', async () => {
  const lines: string[] = [];
  const socket = await openOperatorSocket({
    dataDir: path.join(folder, 'x'.repeat(100)),
    endpoints: [ping],
    context: { name: 'here' },
    log: logTo({ write: (line) => lines.push(line) }),
  });
  await socket.close();
  expect(lines).toEqual([expect.stringContaining('too long for a socket')]);
});
