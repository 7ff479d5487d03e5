/** `stele audit`, with and without a server; what the server was started with; the stream to a file over restarts. */

import { readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AuditEntryJson } from '#src/audit/entry-json.ts';
import { SteleProcess } from '#test/support/stele-process.ts';

/** How long the stream may take to come. */
const STREAM_DEADLINE_MS = 30_000;

let stele: SteleProcess;
beforeAll(async () => {
  stele = await SteleProcess.make({
    registration: { open: true, token_required: false, shared_secret: 'a first secret' },
    audit: { streams: [{ to: 'file', path: 'audit.jsonl' }] },
  });
});
afterAll(() => stele.remove());

const linesOf = (text: string): AuditEntryJson[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditEntryJson);

async function audit(...args: string[]): Promise<AuditEntryJson[]> {
  const { status, stdout, stderr } = await stele.run('audit', ...args, '--json', '--config', stele.configFile);
  expect(status, stderr).toBe(0);
  return linesOf(stdout);
}

async function streamedUpTo(position: number | undefined): Promise<AuditEntryJson[]> {
  const deadlineMs = performance.now() + STREAM_DEADLINE_MS;
  for (;;) {
    const lines = linesOf(await readFile(path.join(stele.folder, 'audit.jsonl'), 'utf8').catch(() => ''));
    if (position !== undefined && (lines.at(-1)?.position ?? -1) >= position) return lines;
    if (performance.now() > deadlineMs) throw new Error(`only ${lines.length} entries came`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

it('shows who did what, says who asked, and the stream goes on where it was', async () => {
  await stele.start();
  const alice = await stele.register('alice');
  const made = await stele.run('users', 'token', '--config', stele.configFile);
  expect(made.status, made.stderr).toBe(0);

  const found = await audit('--reason', 'yearly review');
  const operator = { kind: 'operator', name: expect.stringContaining(userInfo().username) };
  expect(found).toMatchObject([
    { action: 'policy.change', actor: { kind: 'server' } },
    { action: 'configuration.change', actor: { kind: 'server', task: 'start' } },
    { action: 'key.in_use', target: { kind: 'key', id: 'matrix' } },
    { action: 'key.in_use', target: { kind: 'key', id: 'log' } },
    { action: 'user.register', actor: { kind: 'user', user_id: alice.userId }, ip: '127.0.0.1' },
    { action: 'registration_token.create', actor: operator },
    { action: 'audit.read', actor: operator, reason: 'yearly review' },
  ]);
  const first = found[1]?.['after'] as { settings: Record<string, unknown> };
  expect(first.settings['registration.shared_secret']).toBe('(secret)');
  expect(JSON.stringify(found)).not.toContain('a first secret');
  expect(await streamedUpTo(found.at(-1)?.position)).toEqual(found);

  // Without a server, and after a start with another configuration and the same keys.
  await stele.stop();
  const config = JSON.parse(await readFile(stele.configFile, 'utf8'));
  config.registration.shared_secret = 'another secret';
  config.media = { max_upload: '7MiB' };
  await writeFile(stele.configFile, JSON.stringify(config));
  expect(await audit('--actor', alice.userId)).toEqual(found.filter(({ action }) => action === 'user.register'));
  await stele.start();
  const changes = await audit('--action', 'configuration.*');
  expect(changes).toMatchObject([
    { action: 'configuration.change' },
    {
      before: { 'media.max_upload': 100 * 1024 * 1024, 'registration.shared_secret': '(secret)' },
      after: { changed: expect.arrayContaining(['media.max_upload', 'registration.shared_secret']) },
    },
  ]);
  expect(changes[1]).toHaveProperty('after.changed.length', 2);
  const all = await audit();
  expect(all.filter(({ action }) => action === 'key.in_use')).toHaveLength(2);

  const streamed = await streamedUpTo(all.at(-1)?.position);
  expect(streamed.map(({ position }) => position)).toEqual(all.map(({ position }) => position));

  // A start with nothing changed adds nothing, and what was sent is not sent again.
  await stele.stop('SIGKILL');
  await stele.start();
  const later = await audit('--from', all.at(-1)?.at ?? '', '--action', 'audit.read');
  expect(await audit('--action', 'configuration.*')).toHaveLength(2);
  expect((await streamedUpTo(later.at(-1)?.position)).slice(0, all.length)).toEqual(streamed);

  const words = await stele.run('audit', '--to', '1999-12-31', '--config', stele.configFile);
  expect([words.status, words.stdout]).toEqual([0, '']);
  expect((await stele.run('audit', '--from', 'yesterday', '--config', stele.configFile)).status).toBe(2);
  await stele.stop();
  expect((await stele.run('audit', '--follow', '--config', stele.configFile)).status).toBe(2);
}, 240_000);
