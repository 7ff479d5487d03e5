/** Holds that are set while something is about to go: what is not gone when the hold is answered stays. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unfinishedDestructions } from '#projections/compliance/queries.ts';
import type { HoldScope } from '#projections/compliance/records.ts';
import { positionOfEvent } from '#projections/rooms/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { filesWith, makeRoom, say, upload } from './support.ts';

const CASE = { caseId: 'C-1', reason: 'A lawsuit', by: 'operator:lawyer' };
const MAX_DAYS = 5;
const DAY = 86_400_000;

let app: TestApplication;
let subject: TestClient;
let roomId: string;
let positions: number[];

beforeEach(async () => {
  app = await startApplication({ retention: { classes: { messages: { max: `${MAX_DAYS}d` } } } });
  subject = await app.register('subject');
  roomId = await makeRoom(subject);
  positions = [];
  for (const text of ['one', 'two', 'three']) {
    positions.push(positionOfEvent(app.engine.reader, await say(subject, roomId, text)) ?? -1);
  }
});
afterEach(() => app.close());

async function readable(): Promise<boolean[]> {
  const found = await Promise.all(positions.map((position) => app.log.readAt(position)));
  return found.map((record) => record?.sections[1] instanceof Uint8Array);
}

/** Sets a hold when the log has been gone through up to a message, and what was found before it waits to go. */
function holdWhenReached(position: number, scope: HoldScope = { userId: subject.userId }): Promise<string> {
  const { holds } = app.context.compliance;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { readAll } = app.log;
  app.log.readAll = async function* (this: TestApplication['log'], from) {
    for await (const records of readAll.call(this, from)) {
      for (const record of records) {
        yield [record];
        if (record.position !== position) continue;
        app.log.readAll = readAll;
        await holds.add({ scope, ...CASE }).then(resolve, reject);
      }
    }
  };
  return promise;
}

describe('a hold that is set while the log is gone through', () => {
  it('keeps what an erasure has gathered, which waits for it then', async () => {
    const { erasures } = app.context.compliance;
    const wish = { userId: subject.userId, by: 'operator:x', reason: null, caseId: null, asksPeers: false };
    const id = await erasures.request(wish);
    const held = holdWhenReached(positions[1] ?? -1);
    const { erasure } = await erasures.run(id);
    expect(erasure).toMatchObject({ state: 'deferred', holdIds: [await held] });
    expect(await readable()).toEqual([true, true, true]);
    expect(erasure.soFar?.items['messages'] ?? 0).toBe(0);
  });

  it('keeps what a run of the schedule has gathered', async () => {
    app.advance((MAX_DAYS + 1) * DAY);
    const held = holdWhenReached(positions[1] ?? -1);
    await app.context.compliance.retention.run();
    await held;
    expect(await readable()).toEqual([true, true, true]);
    expect(unfinishedDestructions(app.engine.reader)).toEqual([]);
  });

  it('keeps the files of a room that it names, whoever asked for them to go', async () => {
    const other = await app.register('other');
    await other.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
    const mediaId = await upload(app, subject, 'a file of the subject');
    const file = { msgtype: 'm.file', body: 'notes', url: `mxc://localhost/${mediaId}` };
    await other.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`, file);
    const { erasures } = app.context.compliance;
    const wish = { userId: subject.userId, by: 'operator:x', reason: null, caseId: null, asksPeers: false };
    const id = await erasures.request(wish);
    const held = holdWhenReached(positions[1] ?? -1, { roomId });
    const { erasure } = await erasures.run(id);
    expect(erasure).toMatchObject({ state: 'deferred', holdIds: [await held] });
    expect(app.context.media.find(mediaId)).toBeDefined();
    expect(await filesWith(app, 'a file of the subject')).not.toEqual([]);
  });

  it('keeps a room that is being removed, all of it', async () => {
    const { purges, holds } = app.context.compliance;
    const { readStream } = app.log;
    app.log.readStream = async function* (this: TestApplication['log'], ...given) {
      app.log.readStream = readStream;
      yield* readStream.apply(this, given);
      await holds.add({ scope: { roomId }, ...CASE });
    } as typeof readStream;
    await expect(purges.room(roomId)).rejects.toThrow(/on legal hold/);
    expect(await readable()).toEqual([true, true, true]);
  });
});

describe('a hold that is set while keys are being destroyed', () => {
  it('is answered when they are gone, so that nothing goes that it covers from then on', async () => {
    const { retention, holds } = app.context.compliance;
    app.advance((MAX_DAYS + 1) * DAY);
    const { destroyKeys } = app.log;
    const isAtIt = Promise.withResolvers<void>();
    const mayGoOn = Promise.withResolvers<void>();
    const order: string[] = [];
    app.log.destroyKeys = async function (this: TestApplication['log'], sections) {
      isAtIt.resolve();
      await mayGoOn.promise;
      await destroyKeys.call(this, sections);
      order.push('keys');
    };
    const running = retention.run();
    await isAtIt.promise;
    const held = holds.add({ scope: { roomId }, ...CASE }).then(() => order.push('hold'));
    // Something that is asked for after the hold and answered: the hold, were it not made to wait, would be by now.
    await say(subject, roomId, 'meanwhile');
    expect(order).toEqual([]);
    mayGoOn.resolve();
    await held;
    expect(order).toEqual(['keys', 'hold']);
    await running;
    expect(await readable()).toEqual([false, false, false]);
  });
});
