import { describe, expect, it } from 'vitest';
import type { Bus } from '#src/bus/bus.ts';
import { LocalBus } from '#src/bus/local-bus.ts';
import { type Left, sendingTo } from '#src/bus/work.ts';
import type { Position } from '#streams/event-log.ts';
import { DestinationQueue, MAX_PDUS_PER_TRANSACTION, type MissedPage, type Transaction } from './destination-queue.ts';

interface Situation {
  /** Whether there may be something that the queue was not told of; default: no. */
  readonly isBehind?: boolean;
  /** Whether the server takes what it is sent; default: everything. */
  readonly takes?: () => boolean;
  /** Says which node sends to it; default: this one. */
  readonly bus?: Pick<Bus, 'claim'>;
}

/** A queue to a server that has missed whatever it was asked for. */
function queueTo({ isBehind = false, takes = () => true, bus = new LocalBus() }: Situation = {}) {
  const sent: Transaction[] = [];
  const idle: DestinationQueue[] = [];
  const askedFor: Position[] = [];
  const queue = new DestinationQueue({
    destination: 'two.test',
    sentUpTo: 0,
    isBehind,
    between: (after) => [7, 8, 9].filter((place) => place > after).map((place) => ({ place, position: place })),
    missed: async (_server, after): Promise<MissedPage> => {
      askedFor.push(after);
      return { events: [{ place: 100, position: 100 }], eventsUpTo: 100, edus: [], edusUpTo: 100, isLast: true };
    },
    lasting: {
      after: async (_server, position) => {
        return { edus: [{ type: 'lasting', content: {} }], upTo: position + 1, hasMore: false };
      },
    },
    claim: () => bus.claim(sendingTo('two.test')),
    pduAt: async (position) => `{"at":${position}}`,
    turn: async () => {},
    deliver: async (_server, transaction) => {
      sent.push(transaction);
      return takes();
    },
    newTransactionId: () => String(sent.length),
    onIdle: (one) => {
      idle.push(one);
      one.release(one.sentUpTo);
    },
  });
  return { queue, sent, idle, askedFor };
}

const TICKS = 60;

describe('what is handed to a queue at any moment', () => {
  it.each(Array.from({ length: TICKS }, (_, ticks) => ticks))(
    'is sent, also %i turns after it was woken',
    async (ticks) => {
      const { queue, sent, idle } = queueTo();
      queue.addLasting();
      void queue.run();
      for (let turn = 0; turn < ticks; turn += 1) await Promise.resolve();
      queue.addLasting();
      queue.addEdu({ type: 'passing', content: {} });
      queue.addEvent(5, 5);
      void queue.run();
      await new Promise((resolve) => setImmediate(resolve));
      // Whoever let it go in between made a new one for what came after; nothing may be left in this one.
      expect(idle.at(-1)).toBe(queue);
      expect(sent.flatMap(({ edus }) => edus.map(({ type }) => type))).toContain('passing');
      expect(sent.flatMap(({ pdus }) => pdus)).toEqual(['{"at":5}']);
      expect(queue.sentUpTo).toBe(5);
    },
  );
});

it('forgets what waits for a server that does not answer, and knows where it was', async () => {
  const { queue, sent, idle } = queueTo({ takes: () => false });
  queue.addEvent(5, 5);
  queue.addEdu({ type: 'passing', content: {} });
  await queue.run();
  expect({ sent: sent.length, idle: idle.length, upTo: queue.sentUpTo, hasFailed: queue.hasFailed }).toEqual({
    sent: 1,
    idle: 1,
    upTo: 0,
    hasFailed: true,
  });
});

describe('of several nodes', () => {
  const work = sendingTo('two.test');

  /** A bus on which another node has left the sending so. */
  async function leftSo(left: Left): Promise<LocalBus> {
    const bus = new LocalBus();
    (await bus.claim(work))?.release(left);
    return bus;
  }

  it('one sends, and the other has its EDUs passed on', async () => {
    const bus = new LocalBus();
    const others = await bus.claim(work);
    const { queue, sent, idle } = queueTo({ bus });
    queue.addEvent(5, 5);
    queue.addEdu({ type: 'passing', content: {} }, 'key');
    await queue.run();
    expect(sent).toEqual([]);
    expect(idle).toEqual([queue]);
    expect(queue.isElsewhere).toBe(true);
    expect([...queue.waitingEdus()]).toEqual([{ key: 'key', edu: { type: 'passing', content: {} } }]);
    others?.release();
    expect(await bus.claim(work)).toBeDefined();
  });

  it('one goes on from where the other got', async () => {
    const { queue, sent, askedFor } = queueTo({ bus: await leftSo({ upTo: 5, isDone: true }) });
    for (const place of [4, 5, 6]) queue.addEvent(place, place);
    await queue.run();
    expect(sent.map(({ pdus }) => pdus)).toEqual([['{"at":6}']]);
    expect(askedFor).toEqual([]);
    expect(queue.isElsewhere).toBe(false);
  });

  it('one sends each event that the other had still to send', async () => {
    const { queue, sent, askedFor } = queueTo({ isBehind: true, bus: await leftSo({ upTo: 7, isDone: true }) });
    await queue.run();
    expect(askedFor).toEqual([]);
    expect(sent.map(({ pdus, edus }) => [pdus, edus.length])).toEqual([[['{"at":8}', '{"at":9}'], 1]]);
    expect(queue.sentUpTo).toBe(9);
  });

  it('one finds in the log what the other could not send', async () => {
    const { queue, sent, askedFor } = queueTo({ bus: await leftSo({ upTo: 3, isDone: false }) });
    queue.addEvent(9, 9);
    await queue.run();
    expect(askedFor).toEqual([3]);
    expect(sent.map(({ pdus }) => pdus)).toEqual([['{"at":100}']]);
    expect(queue.sentUpTo).toBe(100);
  });

  it('one that is done says so to the next, and one that has failed says where', async () => {
    const bus = new LocalBus();
    const well = queueTo({ bus });
    well.queue.addEvent(5, 5);
    await well.queue.run();
    const next = await bus.claim(work);
    expect(next?.left).toEqual({ upTo: 5, isDone: true });
    next?.release();
    const ill = queueTo({ bus, takes: () => false });
    ill.queue.addEvent(8, 8);
    await ill.queue.run();
    expect((await bus.claim(work))?.left).toEqual({ upTo: 5, isDone: false });
  });

  it('one stops when the sending is taken from it', async () => {
    const losing = new AbortController();
    const claim = async () => ({ left: undefined, lost: losing.signal, release: () => {} });
    const { queue, sent } = queueTo({
      bus: { claim },
      takes: () => {
        losing.abort();
        return true;
      },
    });
    for (let place = 1; place <= MAX_PDUS_PER_TRANSACTION + 1; place += 1) queue.addEvent(place, place);
    await queue.run();
    expect(sent).toHaveLength(1);
    expect(queue.isElsewhere).toBe(true);
  });
});
