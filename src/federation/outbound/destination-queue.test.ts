import { describe, expect, it } from 'vitest';
import { DestinationQueue, type MissedPage, type Transaction } from './destination-queue.ts';

/** A queue to a server that takes everything, or what `takes` says. */
function queueTo(takes: () => boolean = () => true) {
  const sent: Transaction[] = [];
  const idle: DestinationQueue[] = [];
  const nothing: MissedPage = { events: [], edus: [], upTo: 0, isLast: true };
  const queue = new DestinationQueue({
    destination: 'two.test',
    sentUpTo: 0,
    isBehind: false,
    missed: async () => nothing,
    lasting: {
      after: async (_server, position) => {
        return { edus: [{ type: 'lasting', content: {} }], upTo: position + 1, hasMore: false };
      },
      destinationsSince: () => [],
    },
    pduAt: async (position) => `{"at":${position}}`,
    turn: async () => {},
    deliver: async (_server, transaction) => {
      sent.push(transaction);
      return takes();
    },
    newTransactionId: () => String(sent.length),
    onIdle: (one) => idle.push(one),
  });
  return { queue, sent, idle };
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
  const { queue, sent, idle } = queueTo(() => false);
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
