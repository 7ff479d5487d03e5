/** The log's process is killed at any moment, again and again; STELE_KILL_CYCLES says how often (default 6). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collect } from '../contract.ts';
import { BEFORE_FIRST } from '../event-log.ts';
import { openLog } from '../open-log.ts';

const CYCLES = Number(process.env.STELE_KILL_CYCLES ?? 6);
/** Acknowledgements after which a cycle ends: another number each time, from a fixed seed. */
const MOST_ACKNOWLEDGED = 1500;
const WRITER = fileURLToPath(new URL('kill-writer.test-support.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-kill-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Runs a writer until so many records were acknowledged, kills it, and gives all that it said. */
async function writeUntilKilled(acknowledgements: number): Promise<string[]> {
  const writer = spawn(process.execPath, [WRITER, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(writer, 'exit');
  const said: string[] = [];
  for await (const line of createInterface({ input: writer.stdout })) {
    said.push(line);
    if (said.length > acknowledgements) writer.kill('SIGKILL');
  }
  expect((await ended)[1]).toBe('SIGKILL');
  // The last line may have been cut short.
  return said.filter((line) => /^\d+ room-\d+ \d+ [0-9a-f]{32}$/.test(line));
}

test('what was acknowledged is there exactly once after every kill, and what was there before is unchanged', {
  timeout: 60_000 + CYCLES * 10_000,
}, async () => {
  let leavesBefore: string[] = [];
  let seed = 12345;
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    const acknowledged = await writeUntilKilled(1 + (seed % MOST_ACKNOWLEDGED));
    const log = await openLog({ folder });
    const records = (await collect(log.readAll(BEFORE_FIRST))).flat();
    const leaves = (await collect(log.readLeaves(BEFORE_FIRST))).flat().map((leaf) => leaf.toString('hex'));
    expect(leaves.slice(0, leavesBefore.length)).toEqual(leavesBefore);
    leavesBefore = leaves;
    for (const line of acknowledged) {
      const [position, stream, revision, id] = line.split(' ');
      const record = records[Number(position)];
      expect(`${record?.stream} ${record?.revision} ${Buffer.from(record?.id ?? []).toString('hex')}`).toBe(
        `${stream} ${revision} ${id}`,
      );
      expect(record?.sections[1]?.toString()).toBe(`${stream} ${revision}`);
    }
    // Appends of two records are there both or not at all, and revisions have no gaps.
    const revisions = new Map<string, number>();
    for (const { stream, revision } of records) {
      expect(revision).toBe((revisions.get(stream) ?? -1) + 1);
      revisions.set(stream, revision);
    }
    expect([...revisions.values()].every((last) => last % 2 === 1)).toBe(true);
    if (cycle % 2 === 0) await log.append('between', await log.revisionOf('between'), [draftOf('a'), draftOf('b')]);
    await log.close();
  }
});

function draftOf(text: string) {
  return { id: Buffer.alloc(16, text), kind: 'pdu', version: 1, sections: [Buffer.from('-'), Buffer.from(text)] };
}
