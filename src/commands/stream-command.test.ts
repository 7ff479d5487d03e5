import { randomBytes } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { Conflict, NO_STREAM, NotWritten, type RecordDraft } from '#streams/event-log.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import { KeyedLock, MAX_WAITING_FOR_KEY } from './keyed-lock.ts';
import { MAX_ATTEMPTS, StreamCommands } from './stream-command.ts';

const STREAM = 'user-a';
const record = (): RecordDraft => ({
  id: randomBytes(16),
  kind: 'user.admin_changed',
  version: 1,
  sections: [Buffer.of(1)],
});
const nothingToCatchUp = () => Promise.resolve();

describe('a command on a stream', () => {
  test('decides at the revision it appends at, and says where its records are', async () => {
    const log = openMemoryLog();
    const commands = new StreamCommands({ log, caughtUp: nothingToCatchUp });
    const seen: number[] = [];
    const decide = (revision: number) => {
      seen.push(revision);
      return { records: [record(), record()], result: `at ${revision}` };
    };
    const first = await commands.run(STREAM, decide);
    const second = await commands.run(STREAM, decide);
    expect(seen).toEqual([NO_STREAM, 1]);
    expect([first.result, second.result]).toEqual(['at -1', 'at 1']);
    expect(second.position).toBe(log.head());
  });

  test('with nothing to do appends nothing', async () => {
    const log = openMemoryLog();
    const commands = new StreamCommands({ log, caughtUp: nothingToCatchUp });
    expect(await commands.run(STREAM, () => ({ records: [], result: 5 }))).toEqual({ result: 5, position: undefined });
    expect(await log.revisionOf(STREAM)).toBe(NO_STREAM);
  });

  test('waits for the ones before it on the same stream, in order, and for no other', async () => {
    const log = openMemoryLog();
    const commands = new StreamCommands({ log, caughtUp: nothingToCatchUp });
    const done: string[] = [];
    const gate = Promise.withResolvers<void>();
    const slow = commands.run(STREAM, async () => {
      await gate.promise;
      return { records: [record()], result: done.push('slow') };
    });
    const next = commands.run(STREAM, () => ({ records: [record()], result: done.push('next') }));
    await commands.run('user-b', () => ({ records: [record()], result: done.push('other') }));
    gate.resolve();
    await Promise.all([slow, next]);
    expect(done).toEqual(['other', 'slow', 'next']);
  });

  test('decides anew after it has caught up with what somebody else appended', async () => {
    const log = openMemoryLog();
    const caughtUp = vi.fn(nothingToCatchUp);
    const commands = new StreamCommands({ log, caughtUp });
    const revisions: number[] = [];
    const { position } = await commands.run(STREAM, async (revision) => {
      revisions.push(revision);
      if (revisions.length === 1) await log.append(STREAM, revision, [record()]);
      return { records: [record()], result: undefined };
    });
    expect(revisions).toEqual([NO_STREAM, 0]);
    expect(caughtUp).toHaveBeenCalledOnce();
    expect(position).toBe(log.head());
  });

  test('gives up when that goes on for ever', async () => {
    const log = openMemoryLog();
    const commands = new StreamCommands({ log, caughtUp: nothingToCatchUp });
    const decide = vi.fn(async (revision: number) => {
      await log.append(STREAM, revision, [record()]);
      return { records: [record()], result: undefined };
    });
    await expect(commands.run(STREAM, decide)).rejects.toBeInstanceOf(Conflict);
    expect(decide).toHaveBeenCalledTimes(MAX_ATTEMPTS);
  });

  test('that fails leaves the stream usable', async () => {
    const log = openMemoryLog();
    const commands = new StreamCommands({ log, caughtUp: nothingToCatchUp });
    const refusal = new Error('no');
    await expect(
      commands.run(STREAM, () => {
        throw refusal;
      }),
    ).rejects.toBe(refusal);
    log.refuseWrites('the disk is full');
    await expect(commands.run(STREAM, () => ({ records: [record()], result: 1 }))).rejects.toBeInstanceOf(NotWritten);
    log.refuseWrites(undefined);
    expect((await commands.run(STREAM, () => ({ records: [record()], result: 2 }))).result).toBe(2);
  });
});

describe('a keyed lock', () => {
  test('keeps nothing of keys that nobody holds', async () => {
    const lock = new KeyedLock();
    await Promise.all(['a', 'b', 'a'].map((key) => lock.run(key, () => Promise.resolve(key))));
    expect(lock.size).toBe(0);
  });

  test('refuses one waiter too many', async () => {
    const lock = new KeyedLock();
    const gate = Promise.withResolvers<void>();
    const held = Array.from({ length: MAX_WAITING_FOR_KEY }, () => lock.run('a', () => gate.promise));
    await expect(lock.run('a', () => Promise.resolve())).rejects.toMatchObject({ status: 503 });
    expect(await lock.run('b', () => Promise.resolve('free'))).toBe('free');
    gate.resolve();
    await Promise.all(held);
    expect(await lock.run('a', () => Promise.resolve('free again'))).toBe('free again');
  });
});
