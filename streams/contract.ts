/** What everything above a log relies on: the suite that each driver passes. Called from a driver's own test file. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  BEFORE_FIRST,
  Conflict,
  type EventLog,
  type LogRecord,
  MAX_APPEND_BYTES,
  NO_STREAM,
  NotWritten,
  OutcomeUnknown,
  type RecordDraft,
  type SubscriptionPhase,
  TooLarge,
} from './event-log.ts';
import type { RawLog } from './raw-log.ts';
import { leafHash } from './record-format.ts';
import type { SealedLogOptions } from './sealed-log.ts';
import { MAX_LAG_BYTES, MAX_LAG_RECORDS } from './subscription.ts';

/** A log under test. */
export interface LogUnderTest {
  readonly log: EventLog & RawLog;
  /** Lets the next commit fail so that nothing was written, or so that nobody knows. Later appends may be turned down. */
  failNextCommit(error: NotWritten | OutcomeUnknown): void;
  /** Closes the log and opens it again from what it stored; absent for a log that forgets. */
  reopen?(): Promise<EventLog & RawLog>;
  /** Releases everything, the stored bytes included. */
  dispose(): Promise<void>;
}

/** A record as tests make them. */
export function draft(text: string, more: Partial<RecordDraft> = {}): RecordDraft {
  return {
    id: randomBytes(16),
    kind: 'pdu',
    version: 1,
    sections: [Buffer.from(`skeleton of ${text}`), Buffer.from(`content of ${text}`)],
    ...more,
  };
}

/** All records of a stream read or a batched read. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

async function everything(log: EventLog, from = BEFORE_FIRST): Promise<LogRecord[]> {
  return (await collect(log.readAll(from))).flat();
}

const text = (record: LogRecord | undefined) => record?.sections[1]?.toString().replace('content of ', '');

export function describeEventLogContract(
  name: string,
  open: (options: SealedLogOptions) => Promise<LogUnderTest>,
): void {
  describe(`${name} keeps the contract of the event log`, () => {
    let subject: LogUnderTest;
    let log: EventLog & RawLog;
    let leavesSeen: Uint8Array[];
    let clock: number;

    beforeEach(async () => {
      leavesSeen = [];
      clock = 1_700_000_000_000;
      subject = await open({ now: () => clock, onCommit: (leaves) => leavesSeen.push(...leaves) });
      log = subject.log;
    });
    afterEach(() => subject.dispose());

    async function fill(stream: string, count: number): Promise<void> {
      const known = await log.revisionOf(stream);
      await Promise.all(
        Array.from({ length: count }, (_, n) => log.append(stream, known + n, [draft(`${stream} ${n}`)])),
      );
    }

    describe('appending', () => {
      test('an empty log has no head and no streams', async () => {
        expect(log.head()).toBe(BEFORE_FIRST);
        expect(await log.revisionOf('room-a')).toBe(NO_STREAM);
        expect(await collect(log.readStream('room-a'))).toEqual([]);
        expect(await everything(log)).toEqual([]);
        expect(log.writeState()).toEqual({ writable: true });
      });

      test('a record comes back as it was appended', async () => {
        const one = draft('hello', { version: 7 });
        const appended = await log.append('room-a', NO_STREAM, [one]);
        expect(appended.firstPosition).toBe(appended.lastPosition);
        expect(appended.lastRevision).toBe(0);
        const record = await log.readAt(appended.firstPosition);
        expect(record).toMatchObject({
          position: appended.firstPosition,
          stream: 'room-a',
          revision: 0,
          kind: 'pdu',
          version: 7,
          recordedAtMs: clock,
        });
        expect(Buffer.from(record?.id ?? []).equals(one.id)).toBe(true);
        expect(record?.sections.map((section) => section?.toString())).toEqual([
          'skeleton of hello',
          'content of hello',
        ]);
        expect(log.head()).toBe(appended.lastPosition);
      });

      test('a record may have no section, an empty section, and up to four', async () => {
        await log.append('s', -1, [draft('', { sections: [] }), draft('', { sections: [Buffer.alloc(0)] })]);
        await log.append('s', 1, [draft('', { sections: [1, 2, 3, 4].map((n) => Buffer.from([n])) })]);
        const records = await everything(log);
        expect(records.map((record) => record.sections.map((section) => section?.length))).toEqual([
          [],
          [0],
          [1, 1, 1, 1],
        ]);
      });

      test('records of one append are adjacent and ordered', async () => {
        const appended = await log.append('room-a', NO_STREAM, [draft('1'), draft('2'), draft('3')]);
        expect(appended.lastRevision).toBe(2);
        const records = await everything(log);
        expect(records.map(text)).toEqual(['1', '2', '3']);
        expect(records.map((record) => record.revision)).toEqual([0, 1, 2]);
        expect(records[0]?.position).toBe(appended.firstPosition);
        expect(records[2]?.position).toBe(appended.lastPosition);
      });

      test('positions ascend in the order of the calls, over all streams', async () => {
        const appends = ['a', 'b', 'c', 'd'].map((stream) => log.append(stream, NO_STREAM, [draft(stream)]));
        const positions = (await Promise.all(appends)).map((one) => one.firstPosition);
        expect(positions).toEqual([...positions].sort((a, b) => a - b));
        expect((await everything(log)).map(text)).toEqual(['a', 'b', 'c', 'd']);
      });

      test('appends to one stream may be queued behind each other', async () => {
        const first = log.append('s', -1, [draft('1')]);
        const second = log.append('s', 0, [draft('2'), draft('3')]);
        expect(await log.revisionOf('s')).toBe(2);
        const third = log.append('s', 2, [draft('4')]);
        expect((await Promise.all([first, second, third])).map((one) => one.lastRevision)).toEqual([0, 2, 3]);
        expect((await collect(log.readStream('s'))).map(text)).toEqual(['1', '2', '3', '4']);
      });

      test('the caller may not pass what no stream can hold', async () => {
        for (const stream of ['', 'a b', 'ü', 'x'.repeat(65)]) {
          await expect(log.append(stream, -1, [draft('')])).rejects.toThrow(RangeError);
        }
        await expect(log.append('s', -2, [draft('')])).rejects.toThrow(RangeError);
        await expect(log.append('s', -1, [])).rejects.toThrow(RangeError);
        await expect(log.append('s', -1, [draft('', { id: Buffer.alloc(3) })])).rejects.toThrow(RangeError);
        await expect(log.append('s', -1, [draft('', { kind: 'no kind' })])).rejects.toThrow(RangeError);
        await expect(log.append('s', -1, [draft('', { version: 65_536 })])).rejects.toThrow(RangeError);
        expect(log.head()).toBe(BEFORE_FIRST);
      });

      test('too much is told apart from what is wrong', async () => {
        const big = draft('', { sections: [Buffer.alloc(MAX_APPEND_BYTES)] });
        await expect(log.append('s', -1, [big])).rejects.toThrow(TooLarge);
        const many = draft('', { sections: Array.from({ length: 5 }, () => Buffer.alloc(1)) });
        await expect(log.append('s', -1, [many])).rejects.toThrow(TooLarge);
        const fits = draft('', { sections: [Buffer.alloc(MAX_APPEND_BYTES - 1024, 7)] });
        const { firstPosition } = await log.append('s', -1, [fits]);
        expect((await log.readAt(firstPosition))?.sections[0]?.length).toBe(MAX_APPEND_BYTES - 1024);
      });
    });

    describe('expected revisions', () => {
      test('another revision than expected is a conflict that names the actual one, and writes nothing', async () => {
        await log.append('s', -1, [draft('1'), draft('2')]);
        for (const expected of [-1, 0, 2, 9]) {
          const failure = await log.append('s', expected, [draft('x')]).catch((error: unknown) => error);
          expect(failure).toBeInstanceOf(Conflict);
          expect(failure).toMatchObject({ stream: 's', expected, actual: 1 });
        }
        expect(await everything(log)).toHaveLength(2);
      });

      test('of two appends that expect the same revision one wins, whole', async () => {
        const results = await Promise.allSettled([
          log.append('s', -1, [draft('a'), draft('b')]),
          log.append('s', -1, [draft('c'), draft('d')]),
        ]);
        expect(results.map((one) => one.status)).toEqual(['fulfilled', 'rejected']);
        expect((await everything(log)).map(text)).toEqual(['a', 'b']);
      });

      test('the same records sent again are answered with where they are', async () => {
        const records = [draft('1'), draft('2')];
        const first = await log.append('s', -1, records);
        await log.append('s', 1, [draft('3')]);
        expect(await log.append('s', -1, records)).toEqual(first);
        expect(await everything(log)).toHaveLength(3);
      });

      test('a resend while the first sending is under way waits for it', async () => {
        const records = [draft('1')];
        const [first, again] = await Promise.all([log.append('s', -1, records), log.append('s', -1, records)]);
        expect(again).toEqual(first);
        expect(await everything(log)).toHaveLength(1);
      });

      test('a resend that overlaps other records is a conflict', async () => {
        const [one, two, other] = [draft('1'), draft('2'), draft('3')];
        await log.append('s', -1, [one, two]);
        await expect(log.append('s', -1, [one, other])).rejects.toThrow(Conflict);
        await expect(log.append('s', 0, [two, other])).rejects.toThrow(Conflict);
        expect(await log.append('s', 0, [two])).toMatchObject({ lastRevision: 1 });
      });
    });

    describe('a commit that fails', () => {
      test('rolls back: what was queued behind it fails, revisions and reading go on as before', async () => {
        await log.append('s', -1, [draft('0')]);
        subject.failNextCommit(new NotWritten('no space left'));
        const failing = [
          log.append('s', 0, [draft('1')]),
          log.append('t', -1, [draft('t')]),
          log.append('s', 1, [draft('2')]),
        ];
        for (const result of await Promise.allSettled(failing)) {
          expect(result).toMatchObject({ status: 'rejected', reason: { name: 'NotWritten' } });
        }
        expect(await log.revisionOf('s')).toBe(0);
        expect(await log.revisionOf('t')).toBe(NO_STREAM);
        expect((await everything(log)).map(text)).toEqual(['0']);
        expect((await collect(log.readStream('s', { direction: 'backwards' }))).map(text)).toEqual(['0']);
      });

      test('whose outcome is unknown says so', async () => {
        await log.append('s', -1, [draft('0')]);
        subject.failNextCommit(new OutcomeUnknown('the disk did not say'));
        await expect(log.append('s', 0, [draft('1')])).rejects.toThrow(OutcomeUnknown);
        expect((await everything(log)).map(text)).toEqual(['0']);
      });

      test('shows nothing to subscribers', async () => {
        const seen: LogRecord[] = [];
        const subscription = log.subscribeAll(BEFORE_FIRST, { onRecords: (records) => void seen.push(...records) });
        await subscription.live;
        subject.failNextCommit(new NotWritten('no space left'));
        await log.append('s', -1, [draft('1')]).catch(() => undefined);
        expect(seen).toEqual([]);
        expect(leavesSeen).toEqual([]);
      });
    });

    describe('reading', () => {
      test('streams are read both ways, from anywhere, with a limit', async () => {
        const total = 300;
        for (let n = 0; n < total; n += 50) {
          await Promise.all([fill('s', 50), fill('other', 7)]);
        }
        const revisions = async (options: Parameters<EventLog['readStream']>[1]) =>
          (await collect(log.readStream('s', options))).map((record) => record.revision);
        const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);
        expect(await revisions({})).toEqual(upTo(0, total - 1));
        expect(await revisions({ direction: 'backwards' })).toEqual(upTo(0, total - 1).reverse());
        expect(await revisions({ from: 290 })).toEqual(upTo(290, 299));
        expect(await revisions({ from: 3, limit: 4 })).toEqual([3, 4, 5, 6]);
        expect(await revisions({ from: 3, direction: 'backwards' })).toEqual([3, 2, 1, 0]);
        expect(await revisions({ from: 170, direction: 'backwards', limit: 3 })).toEqual([170, 169, 168]);
        expect(await revisions({ direction: 'backwards', limit: 2 })).toEqual([299, 298]);
        expect(await revisions({ from: 1000 })).toEqual([]);
        expect(await revisions({ from: 1000, direction: 'backwards', limit: 1 })).toEqual([299]);
        expect(await revisions({ from: 1, limit: 0 })).toEqual([]);
        expect(new Set((await collect(log.readStream('s'))).map((record) => record.stream))).toEqual(new Set(['s']));
      });

      test('everything is read from any position', async () => {
        await fill('a', 600);
        await fill('b', 20);
        const all = await everything(log);
        expect(all).toHaveLength(620);
        expect(all.map((record) => record.position)).toEqual(
          [...new Set(all.map((r) => r.position))].sort((x, y) => x - y),
        );
        for (const index of [0, 1, 299, 618, 619]) {
          const rest = await everything(log, all[index]?.position);
          expect(rest.map((record) => record.position)).toEqual(all.slice(index + 1).map((record) => record.position));
        }
      });

      test('one record is read by position', async () => {
        await fill('a', 3);
        const all = await everything(log);
        for (const record of all) expect(text(await log.readAt(record.position))).toBe(text(record));
        expect(await log.readAt(log.head() + 1)).toBeUndefined();
        expect(await log.readAt(-1)).toBeUndefined();
      });

      test('what is read while appends go on ends at the head of the moment', async () => {
        await fill('a', 10);
        const reading = log.readAll(BEFORE_FIRST)[Symbol.asyncIterator]();
        const first = await reading.next();
        await fill('a', 10);
        const rest = await collect({ [Symbol.asyncIterator]: () => reading });
        expect([...(first.value ?? []), ...rest.flat()].length).toBe(10);
      });
    });

    describe('stored records', () => {
      test('leaves are the hashes of what is stored, in log order', async () => {
        await fill('a', 40);
        const raw = (await collect(log.readAllRaw(BEFORE_FIRST))).flat();
        const leaves = (await collect(log.readLeaves(BEFORE_FIRST))).flat();
        const hex = (all: readonly Uint8Array[]) => all.map((one) => Buffer.from(one).toString('hex'));
        expect(hex(leaves)).toEqual(hex(leavesSeen));
        expect(hex(raw.map((one) => leafHash(one.header, one.sealedSections)))).toEqual(hex(leaves));
        expect(hex((await collect(log.readLeaves(raw[9]?.position ?? 0))).flat())).toEqual(hex(leaves.slice(10)));
        const one = await log.readRaw(raw[7]?.position ?? -1);
        expect(one?.leaf.equals(leaves[7] ?? Buffer.alloc(0))).toBe(true);
        expect(await log.readRaw(log.head() + 1)).toBeUndefined();
      });

      test('sections are stored sealed, each with a key of its own', async () => {
        const same = Buffer.from('the same words in every section');
        await log.append('s', -1, [draft('', { sections: [same, same] }), draft('', { sections: [same, same] })]);
        const sealed = (await collect(log.readAllRaw(BEFORE_FIRST))).flat().flatMap((one) => one.sealedSections);
        expect(sealed.every((section) => !section.includes('words'))).toBe(true);
        expect(new Set(sealed.map((section) => section.toString('hex'))).size).toBe(4);
      });
    });

    describe('destroying a key', () => {
      test('erases one section and leaves the record, its hash and everything else', async () => {
        await log.append('s', -1, [draft('1'), draft('2')]);
        const [first, second] = await everything(log);
        const before = await log.readRaw(first?.position ?? -1);
        await log.destroyKey(first?.position ?? -1, 1);
        await log.destroyKey(first?.position ?? -1, 1);
        const after = await log.readAt(first?.position ?? -1);
        expect(after?.sections[0]?.toString()).toBe('skeleton of 1');
        expect(after?.sections[1]).toBeNull();
        expect(await log.readRaw(first?.position ?? -1)).toEqual(before);
        expect(text(await log.readAt(second?.position ?? -1))).toBe('2');
        expect((await everything(log))[0]?.sections[1]).toBeNull();
        expect((await collect(log.readStream('s')))[0]?.sections[1]).toBeNull();
      });

      test('of something that is not there is refused', async () => {
        await log.append('s', -1, [draft('1')]);
        await expect(log.destroyKey(log.head() + 1, 0)).rejects.toThrow(RangeError);
        await expect(log.destroyKey(log.head(), 2)).rejects.toThrow(RangeError);
        await expect(log.destroyKey(log.head(), -1)).rejects.toThrow(RangeError);
      });
    });

    describe('subscriptions', () => {
      /** A subscriber that remembers what it was told. */
      function listener(work?: () => Promise<void>) {
        const seen: LogRecord[] = [];
        const phases: SubscriptionPhase[] = [];
        const ends: (Error | undefined)[] = [];
        return {
          seen,
          phases,
          ends,
          onRecords(records: readonly LogRecord[]): void | Promise<void> {
            seen.push(...records);
            return work?.();
          },
          onPhase: (phase: SubscriptionPhase) => void phases.push(phase),
          onEnd: (error?: Error) => void ends.push(error),
        };
      }

      test('deliver what was there, then what comes, without gap or repeat', async () => {
        await fill('a', 300);
        const subscriber = listener();
        const subscription = log.subscribeAll(BEFORE_FIRST, subscriber);
        const meanwhile = Promise.all([fill('b', 200), fill('c', 200)]);
        await subscription.live;
        await meanwhile;
        await fill('a', 10);
        const all = await everything(log);
        expect(subscriber.seen.map((record) => record.position)).toEqual(all.map((record) => record.position));
        expect(subscriber.seen.map(text)).toEqual(all.map(text));
        expect(subscriber.phases).toEqual(['backfill', 'cutover', 'live']);
        expect(subscription.phase).toBe('live');
      });

      test('start after a position', async () => {
        await fill('a', 5);
        const subscriber = listener();
        await log.subscribeAll(log.head() - 2, subscriber).live;
        expect(subscriber.seen.map(text)).toEqual(['a 3', 'a 4']);
      });

      test('a synchronous subscriber has seen a record before its append is acknowledged', async () => {
        const subscriber = listener();
        await log.subscribeAll(BEFORE_FIRST, subscriber).live;
        const decoded = { parsed: true };
        const seenAtAck = log.append('s', -1, [draft('1', { decoded })]).then(() => subscriber.seen.length);
        expect(await seenAtAck).toBe(1);
        expect(subscriber.seen[0]?.decoded).toBe(decoded);
        expect(subscriber.seen[0]?.position).toBe(log.head());
      });

      test('decoded is not stored', async () => {
        await log.append('s', -1, [draft('1', { decoded: {} })]);
        expect((await everything(log))[0]?.decoded).toBeUndefined();
      });

      test('an asynchronous subscriber is called one batch at a time and holds up no append', async () => {
        let release = () => {};
        const gate = new Promise<void>((resolve) => {
          release = resolve;
        });
        let running = 0;
        let most = 0;
        const subscriber = listener(async () => {
          most = Math.max(most, ++running);
          await gate;
          running -= 1;
        });
        await log.subscribeAll(BEFORE_FIRST, subscriber).live;
        await log.append('s', -1, [draft('1')]);
        await log.append('s', 0, [draft('2')]);
        await log.append('s', 1, [draft('3')]);
        expect(subscriber.seen).toHaveLength(1);
        release();
        const sentinel = new Promise<void>((resolve) => {
          const poll = () => (subscriber.seen.length === 3 && running === 0 ? resolve() : setImmediate(poll));
          poll();
        });
        await sentinel;
        expect(most).toBe(1);
        expect(subscriber.phases).toEqual(['backfill', 'cutover', 'live']);
      });

      test('a subscriber that lags too far falls back to reading, and misses nothing', async () => {
        let release = () => {};
        const gate = new Promise<void>((resolve) => {
          release = resolve;
        });
        const subscriber = listener(() => gate);
        const subscription = log.subscribeAll(BEFORE_FIRST, subscriber);
        await subscription.live;
        const total = MAX_LAG_RECORDS + 2000;
        const batch = 500;
        for (let n = 0; n < total; n += batch) {
          await log.append(
            's',
            n - 1,
            Array.from({ length: Math.min(batch, total - n) }, (_, m) => draft(`${n + m}`)),
          );
        }
        release();
        await new Promise<void>((resolve) => {
          const poll = () =>
            subscriber.seen.length >= total && subscription.phase === 'live' ? resolve() : setImmediate(poll);
          poll();
        });
        expect(subscriber.seen.map(text)).toEqual(Array.from({ length: total }, (_, n) => `${n}`));
        expect(subscriber.phases.slice(0, 4)).toEqual(['backfill', 'cutover', 'live', 'backfill']);
      });

      test('a subscriber that lags by too many bytes falls back to reading too', async () => {
        let release = () => {};
        const gate = new Promise<void>((resolve) => {
          release = resolve;
        });
        const subscriber = listener(() => gate);
        const subscription = log.subscribeAll(BEFORE_FIRST, subscriber);
        await subscription.live;
        const big = Buffer.alloc(MAX_APPEND_BYTES / 2);
        const total = 2 * Math.ceil(MAX_LAG_BYTES / big.length);
        for (let n = 0; n < total; n++) await log.append('s', n - 1, [draft('', { sections: [big] })]);
        release();
        await new Promise<void>((resolve) => {
          const poll = () =>
            subscriber.seen.length >= total && subscription.phase === 'live' ? resolve() : setImmediate(poll);
          poll();
        });
        expect(subscriber.seen.map((record) => record.revision)).toEqual(Array.from({ length: total }, (_, n) => n));
        expect(subscriber.phases.slice(0, 4)).toEqual(['backfill', 'cutover', 'live', 'backfill']);
      });

      test('a throw ends the subscription and harms neither appends nor other subscribers', async () => {
        const broken = listener();
        broken.onRecords = () => {
          throw new Error('cannot apply');
        };
        const rejecting = listener(() => Promise.reject(new Error('cannot apply either')));
        const healthy = listener();
        await Promise.all([broken, rejecting, healthy].map((one) => log.subscribeAll(BEFORE_FIRST, one).live));
        await log.append('s', -1, [draft('1')]);
        await log.append('s', 0, [draft('2')]);
        expect(broken.ends.map((error) => error?.message)).toEqual(['cannot apply']);
        expect(rejecting.ends.map((error) => error?.message)).toEqual(['cannot apply either']);
        expect(healthy.seen.map(text)).toEqual(['1', '2']);
        expect(healthy.ends).toEqual([]);
      });

      test('live rejects if the subscription ends before', async () => {
        await fill('a', 3);
        const broken = listener();
        broken.onRecords = () => {
          throw new Error('cannot apply');
        };
        await expect(log.subscribeAll(BEFORE_FIRST, broken).live).rejects.toThrow('cannot apply');
      });

      test('nothing comes after stop, and the end is told once', async () => {
        const subscriber = listener();
        const subscription = log.subscribeAll(BEFORE_FIRST, subscriber);
        await subscription.live;
        await subscription.stop();
        await subscription.stop();
        await fill('a', 1);
        expect(subscriber.seen).toEqual([]);
        expect(subscriber.ends).toEqual([undefined]);
      });

      test('closing the log ends them', async () => {
        const subscriber = listener();
        await log.subscribeAll(BEFORE_FIRST, subscriber).live;
        await log.close();
        expect(subscriber.ends).toEqual([undefined]);
      });
    });

    describe('closing', () => {
      test('flushes what is queued and turns down what comes later', async () => {
        const queued = log.append('s', -1, [draft('1')]);
        const closing = log.close();
        await expect(log.append('s', 0, [draft('2')])).rejects.toThrow(NotWritten);
        await closing;
        expect((await queued).lastRevision).toBe(0);
        expect(log.writeState().writable).toBe(false);
        await log.close();
      });
    });

    test('a log reopened is the log that was closed', async () => {
      if (!subject.reopen) return;
      await fill('a', 120);
      await fill('b', 30);
      await log.destroyKey(3, 0);
      const before = await everything(log);
      const leaves = (await collect(log.readLeaves(BEFORE_FIRST))).flat();
      log = await subject.reopen();
      expect(log.head()).toBe(before.at(-1)?.position);
      expect(await everything(log)).toEqual(before);
      expect((await collect(log.readLeaves(BEFORE_FIRST))).flat()).toEqual(leaves);
      expect((await log.readAt(3))?.sections[0]).toBeNull();
      expect(await log.revisionOf('a')).toBe(119);
      await expect(log.append('a', 5, [draft('x')])).rejects.toThrow(Conflict);
      await fill('a', 80);
      expect((await collect(log.readStream('a'))).map((record) => record.revision)).toEqual(
        Array.from({ length: 200 }, (_, n) => n),
      );
    });
  });
}
