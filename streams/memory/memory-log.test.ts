import { expect, test } from 'vitest';
import { describeEventLogContract, draft } from '../contract.ts';
import { NotWritten, OutcomeUnknown } from '../event-log.ts';
import { openMemoryLog } from './memory-log.ts';

describeEventLogContract('the log in memory', async (options) => {
  const log = openMemoryLog(options);
  return { log, failNextCommit: (error) => log.failNextCommit(error), dispose: () => log.close() };
});

test('it turns down appends for as long as a test wishes', async () => {
  const log = openMemoryLog();
  log.refuseWrites('the disk is full');
  await expect(log.append('s', -1, [draft('1')])).rejects.toThrow(new NotWritten('the disk is full'));
  expect(log.writeState()).toEqual({ writable: false, reason: 'the disk is full' });
  log.refuseWrites(undefined);
  await log.append('s', -1, [draft('1')]);
  expect(log.head()).toBe(0);
});

test('too many records in flight are turned down, and it recovers', async () => {
  const log = openMemoryLog({ maxPendingRecords: 3 });
  const taken = [0, 1, 2].map((n) => log.append(`s${n}`, -1, [draft('')]));
  await expect(log.append('t', -1, [draft('')])).rejects.toThrow(NotWritten);
  await Promise.all(taken);
  await log.append('t', -1, [draft('')]);
});

test('after a commit whose outcome is unknown the same records may be sent again', async () => {
  const log = openMemoryLog();
  const records = [draft('1')];
  log.failNextCommit(new OutcomeUnknown('the disk did not say'));
  await expect(log.append('s', -1, records)).rejects.toThrow(OutcomeUnknown);
  expect((await log.append('s', -1, records)).lastRevision).toBe(0);
});

test('a tree that cannot follow stops writing, and loses no acknowledgement', async () => {
  const log = openMemoryLog({
    onCommit: () => {
      throw new Error('no room for tiles');
    },
  });
  expect((await log.append('s', -1, [draft('1')])).lastRevision).toBe(0);
  await expect(log.append('s', 0, [draft('2')])).rejects.toThrow(/no room for tiles/);
});
