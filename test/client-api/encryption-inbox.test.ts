/** Messages to devices over HTTP: each is handed over once, by token. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasMessagesUpTo } from '#projections/encryption/inbox-projection.ts';
import { GATHER_MS } from '#src/encryption/acknowledgements.ts';
import { MAX_DEVICE_MESSAGES } from '#src/sync/device-news.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { anotherDevice, type EncryptionSync } from './encryption-client.ts';
import { type SyncParameters, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let users = 0;
let transactions = 0;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterAll(() => app.close());

const somebody = () => app.register(`user${users++}`);
const send = (from: TestClient, messages: object, txnId = `txn${transactions++}`) =>
  from.ok('PUT', `/sendToDevice/m.test/${txnId}`, { messages });
const say = (from: TestClient, { userId, deviceId }: TestClient, text: string, txnId?: string) =>
  send(from, { [userId]: { [deviceId]: { text } } }, txnId);
const look = async (client: TestClient, parameters?: SyncParameters) =>
  (await sync(client, parameters)) as EncryptionSync;
const textsIn = (answer: EncryptionSync) => (answer.to_device?.events ?? []).map(({ content }) => content.text);

describe('a message to a device', () => {
  it('comes with who sent it, to the devices it is for', async () => {
    const carol = await somebody();
    const tablet = await anotherDevice(app, carol);
    await send(alice, {
      [carol.userId]: { [carol.deviceId]: { text: 'phone' }, [tablet.deviceId]: { text: 'tablet' }, NONE: {} },
      '@nobody:localhost': { X: {} },
      '@far:elsewhere.example': { X: {} },
    });
    const events = [{ type: 'm.test', sender: '@alice:localhost', content: { text: 'phone' } }];
    expect((await look(carol)).to_device).toEqual({ events });
    expect(textsIn(await look(tablet))).toEqual(['tablet']);
    expect((await look(bob)).to_device).toBeUndefined();
  });

  it('may be for all devices of a user; what is for one of them goes before', async () => {
    const carol = await somebody();
    const tablet = await anotherDevice(app, carol);
    await send(alice, { [carol.userId]: { '*': { text: 'all' }, [tablet.deviceId]: { text: 'tablet' } } });
    expect(textsIn(await look(carol))).toEqual(['all']);
    expect(textsIn(await look(tablet))).toEqual(['tablet']);
  });

  it('is shown until a token says that it was seen, and not again', async () => {
    const carol = await somebody();
    const { next_batch: start } = await look(carol);
    await say(alice, carol, 'one');
    const first = await look(carol, { since: start });
    expect(textsIn(first)).toEqual(['one']);
    expect(textsIn(await look(carol, { since: start }))).toEqual(['one']);
    expect(textsIn(await look(carol))).toEqual(['one']);
    await say(alice, carol, 'two');
    const second = await look(carol, { since: first.next_batch });
    expect(textsIn(second)).toEqual(['two']);
    expect(textsIn(await look(carol, { since: second.next_batch }))).toEqual([]);
  });

  it('is removed some time after that', async () => {
    const carol = await somebody();
    await say(alice, carol, 'one');
    const { next_batch: since } = await look(carol);
    await look(carol, { since });
    await app.context.acknowledgements.flush();
    expect(hasMessagesUpTo(app.context.reader, carol.userId, carol.deviceId, app.log.head())).toBe(false);
    expect(textsIn(await look(carol))).toEqual([]);
    expect(GATHER_MS).toBeLessThan(60_000);
  });

  it('is delivered once however often its transaction is sent, also by parts', async () => {
    const carol = await somebody();
    const dave = await somebody();
    await say(alice, carol, 'one', 'again');
    await send(alice, { [carol.userId]: { '*': { text: 'one' } }, [dave.userId]: { '*': { text: 'one' } } }, 'again');
    await say(bob, carol, 'of bob', 'again');
    expect(textsIn(await look(carol))).toEqual(['one', 'of bob']);
    expect(textsIn(await look(dave))).toEqual(['one']);
  });

  it('wakes a sync that waits', async () => {
    const carol = await somebody();
    const { next_batch: since } = await look(carol);
    const waiting = look(carol, { since, timeout: 30_000 });
    await send(alice, { [carol.userId]: { '*': { text: 'wake up' } } });
    expect(textsIn(await waiting)).toEqual(['wake up']);
  });

  it('is gone when its device is', async () => {
    const carol = await somebody();
    const tablet = await anotherDevice(app, carol, 'TABLET');
    await say(alice, tablet, 'for the former');
    await tablet.ok('POST', '/logout');
    expect(textsIn(await look(await anotherDevice(app, carol, 'TABLET')))).toEqual([]);
  });

  it.each([
    [{}, 'M_MISSING_PARAM'],
    [{ messages: { '@bob:localhost': { X: 'text' } } }, 'M_BAD_JSON'],
    [{ messages: [] }, 'M_BAD_JSON'],
  ])('has to have the right shape: %j', async (body, errcode) => {
    const answer = await alice.call('PUT', '/sendToDevice/m.test/malformed', body);
    expect([answer.status, answer.body.errcode]).toEqual([400, errcode]);
  });
});

describe('many messages', () => {
  it('come in parts, in order, each part once its token was seen', async () => {
    const carol = await somebody();
    const texts = Array.from({ length: 2 * MAX_DEVICE_MESSAGES + 1 }, (_, index) => index);
    for (const text of texts) await say(alice, carol, String(text));
    const seen: unknown[] = [];
    let answer = await look(carol);
    for (let part = 0; part < 3; part += 1) {
      seen.push(...textsIn(answer));
      answer = await look(carol, { since: answer.next_batch, timeout: part < 2 ? 30_000 : 0 });
    }
    expect(seen).toEqual(texts.map(String));
    expect(textsIn(answer)).toEqual([]);
  });

  it('are each seen exactly once by a device that loses answers, whatever comes between', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 1, max: 130 }) }),
      fc.record({ kind: fc.constant('sync' as const), isLost: fc.boolean() }),
      fc.record({ kind: fc.constant('write' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const carol = await somebody();
        const sent: string[] = [];
        const seen: unknown[] = [];
        let since: string | undefined;
        const receive = async (isLost: boolean): Promise<number> => {
          const answer = await look(carol, since === undefined ? {} : { since });
          if (isLost) return 0;
          seen.push(...textsIn(answer));
          since = answer.next_batch;
          return textsIn(answer).length;
        };
        for (const one of steps) {
          if (one.kind === 'sync') await receive(one.isLost);
          if (one.kind === 'write') await app.context.acknowledgements.flush();
          for (let count = one.kind === 'send' ? one.count : 0; count > 0; count -= 1) {
            sent.push(String(sent.length));
            await say(alice, carol, String(sent.length - 1));
          }
        }
        while ((await receive(false)) > 0);
        expect(seen).toEqual(sent);
      }),
      { numRuns: 8, seed: 1 },
    );
  });
});
