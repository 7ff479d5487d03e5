/** The sliding sync of the reference client, which nobody here wrote, against the server. */
import { ClientEvent, createClient, type MatrixClient, type MatrixEvent, NotificationCountType } from 'matrix-js-sdk';
import { SlidingSync, SlidingSyncEvent, SlidingSyncState } from 'matrix-js-sdk/lib/sliding-sync.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { PASSWORD, quiet } from '#test/support/sdk.ts';
import { SteleProcess } from '#test/support/stele-process.ts';

const REQUIRED_STATE = [
  ['m.room.create', ''],
  ['m.room.name', ''],
  ['m.room.topic', ''],
  ['m.room.member', '$LAZY'],
  ['m.room.member', '$ME'],
];
const TIMEOUT_MS = 20_000;

interface SlidingClient {
  readonly client: MatrixClient;
  readonly sliding: SlidingSync;
  /** Room ids in the order of the last answers that told of rooms, the latest first. */
  readonly told: string[];
}

describe('the sliding sync of matrix-js-sdk', () => {
  let stele: SteleProcess;
  let alice: SlidingClient;
  let bob: SlidingClient;
  const rooms: string[] = [];

  beforeAll(async () => {
    for (const method of ['debug', 'info', 'log', 'warn', 'error'] as const)
      vi.spyOn(console, method).mockReturnValue(undefined);
    stele = await SteleProcess.make();
    await stele.start();
  });

  afterAll(async () => {
    for (const one of [alice, bob]) {
      one?.sliding.stop();
      one?.client.stopClient();
    }
    await stele?.remove();
    vi.restoreAllMocks();
  });

  it('is offered, and starts for two users', async () => {
    alice = await slidingClient(stele, 'alice');
    bob = await slidingClient(stele, 'bob');
    expect(await alice.client.doesServerSupportUnstableFeature('org.matrix.simplified_msc3575')).toBe(true);
    await Promise.all([started(alice), started(bob)]);
  });

  it('shows rooms as they are made, an invite, and the room that comes of it', async () => {
    for (const name of ['First', 'Second', 'Third']) {
      const { room_id: roomId } = await alice.client.createRoom({ name, topic: `${name} of all` });
      rooms.push(roomId);
    }
    await onceTrue(alice, () => rooms.every((roomId) => alice.client.getRoom(roomId)?.name !== undefined));
    expect(rooms.map((roomId) => alice.client.getRoom(roomId)?.name)).toEqual(['First', 'Second', 'Third']);
    await onceTrue(alice, () => alice.sliding.getListData('all')?.joinedCount === 3);
    for (const roomId of rooms) await alice.client.invite(roomId, '@bob:localhost');
    await onceTrue(bob, () => rooms.every((roomId) => bob.client.getRoom(roomId)?.getMyMembership() === 'invite'));
    for (const roomId of rooms) await bob.client.joinRoom(roomId);
    await onceTrue(bob, () => rooms.every((roomId) => bob.client.getRoom(roomId)?.getMyMembership() === 'join'));
    await onceTrue(alice, () => rooms.every((roomId) => alice.client.getRoom(roomId)?.getJoinedMemberCount() === 2));
  });

  it('moves rooms by what is said in them', async () => {
    for (const index of [2, 0, 1]) {
      await bob.client.sendTextMessage(at(index), `to ${index}`);
      await message(alice, at(index), `to ${index}`);
    }
    const stamps = rooms.map((roomId) => alice.client.getRoom(roomId)?.getBumpStamp() ?? 0);
    const byStamp = [...rooms].sort((a, b) => (stamps[rooms.indexOf(b)] ?? 0) - (stamps[rooms.indexOf(a)] ?? 0));
    expect(byStamp).toEqual([at(1), at(0), at(2)]);
    expect(alice.told.slice(0, 3)).toEqual([at(1), at(0), at(2)]);
  });

  it('counts what is unread, and takes receipts', async () => {
    const room = alice.client.getRoom(at(1));
    await onceTrue(alice, () => room?.getUnreadNotificationCount(NotificationCountType.Total) === 1);
    await alice.client.sendReadReceipt(await message(alice, at(1), 'to 1'));
    await onceTrue(alice, () => room?.getUnreadNotificationCount(NotificationCountType.Total) === 0);
    const read = await message(bob, at(1), 'to 1');
    await onceTrue(
      bob,
      () => bob.client.getRoom(at(1))?.hasUserReadEvent('@alice:localhost', read.getId() ?? '') === true,
    );
  });

  it('shows who is typing', async () => {
    await bob.client.sendTyping(at(0), true, 10_000);
    await onceTrue(alice, () => alice.client.getRoom(at(0))?.getMember('@bob:localhost')?.typing === true);
  });

  it('hands over messages to devices, each once', async () => {
    const got: MatrixEvent[] = [];
    alice.client.on(ClientEvent.ToDeviceEvent, (event) => got.push(event));
    const content = new Map([['@alice:localhost', new Map([['*', { number: 1 }]])]]);
    await bob.client.sendToDevice('org.example.hello', content);
    await onceTrue(alice, () => got.length > 0);
    await bob.client.sendTextMessage(at(0), 'after the message to the device');
    await message(alice, at(0), 'after the message to the device');
    expect(got.map((event) => event.getContent())).toEqual([{ number: 1 }]);
  });

  it('brings account data', async () => {
    await alice.client.setAccountDataRaw('org.example.setting' as never, { on: true } as never);
    await onceTrue(alice, () => alice.client.getAccountData('org.example.setting' as never) !== undefined);
    await alice.client.setRoomTag(at(2), 'm.favourite', { order: 0.5 });
    await onceTrue(alice, () => 'm.favourite' in (alice.client.getRoom(at(2))?.tags ?? {}));
  });

  it('tells of a narrow window only, and of a subscribed room outside of it with more of its past', async () => {
    alice.sliding.setListRanges('all', [[0, 0]]);
    await bob.client.sendTextMessage(at(2), 'on top');
    await message(alice, at(2), 'on top');
    for (const line of ['one', 'two', 'three']) await bob.client.sendTextMessage(at(0), line);
    await bob.client.sendTextMessage(at(1), 'on top again');
    await message(alice, at(1), 'on top again');
    alice.sliding.modifyRoomSubscriptions(new Set([at(0)]));
    await message(alice, at(0), 'three');
    const texts = alice.client.getRoom(at(0))?.getLiveTimeline().getEvents().map(bodyOf);
    expect(texts).toEqual(expect.arrayContaining(['one', 'two', 'three']));
    expect(new Set(texts?.filter((text) => text !== undefined)).size).toBe(
      texts?.filter((text) => text !== undefined).length,
    );
    alice.sliding.setListRanges('all', [[0, 99]]);
  });

  it('goes on with its connection after the server was stopped', async () => {
    const lost = vi.fn();
    alice.sliding.on(SlidingSyncEvent.Lifecycle, (_state, _answer, error) => {
      if (error !== undefined && 'httpStatus' in error && error.httpStatus === 400) lost();
    });
    await stele.stop('SIGTERM');
    await stele.start();
    await bob.client.sendTextMessage(at(1), 'after the stop');
    await message(alice, at(1), 'after the stop');
    expect(lost).not.toHaveBeenCalled();
  });

  it('left no error in the log of the server', () => {
    expect(stele.logged('error')).toEqual([]);
  });

  function at(index: number): string {
    return rooms[index] ?? '';
  }

  function message(one: SlidingClient, roomId: string, body: string): Promise<MatrixEvent> {
    return onceThere(one, () => {
      const events = one.client.getRoom(roomId)?.getLiveTimeline().getEvents();
      return events?.find((event) => event.status === null && bodyOf(event) === body);
    });
  }
});

async function slidingClient(stele: SteleProcess, username: string): Promise<SlidingClient> {
  const anonymous = createClient({ baseUrl: stele.url, logger: quiet });
  const account = await anonymous.registerRequest({ username, password: PASSWORD, auth: { type: 'm.login.dummy' } });
  const { access_token: accessToken, user_id: userId, device_id: deviceId } = account;
  if (accessToken === undefined || deviceId === undefined) throw new Error('no device was logged in');
  const client = createClient({ baseUrl: stele.url, logger: quiet, accessToken, userId, deviceId });
  const list = { ranges: [[0, 99]], required_state: REQUIRED_STATE, timeline_limit: 1, filters: {} };
  const subscription = { required_state: REQUIRED_STATE, timeline_limit: 20 };
  const sliding = new SlidingSync(stele.url, new Map([['all', list]]), subscription, client, TIMEOUT_MS);
  const told: string[] = [];
  sliding.on(SlidingSyncEvent.RoomData, (roomId) => {
    told.unshift(roomId);
  });
  return { client, sliding, told };
}

async function started({ client, sliding }: SlidingClient): Promise<void> {
  const complete = new Promise<void>((resolve) => {
    sliding.on(SlidingSyncEvent.Lifecycle, (state) => {
      if (state === SlidingSyncState.Complete) resolve();
    });
  });
  await client.startClient({ slidingSync: sliding });
  await complete;
}

function bodyOf(event: MatrixEvent): string | undefined {
  const { body }: { body?: unknown } = event.getContent();
  return typeof body === 'string' ? body : undefined;
}

async function onceTrue(one: SlidingClient, isSo: () => boolean): Promise<void> {
  await onceThere(one, () => (isSo() ? true : undefined));
}

/** Resolves with what `look` finds, now or when the client has taken in another answer. */
function onceThere<T>({ client, sliding }: SlidingClient, look: () => T | undefined): Promise<T> {
  return new Promise((resolve) => {
    const stop = (): void => {
      sliding.off(SlidingSyncEvent.Lifecycle, later);
      for (const event of [ClientEvent.Event, ClientEvent.AccountData, ClientEvent.ToDeviceEvent] as const)
        client.off(event, later);
    };
    const check = (): void => {
      const found = look();
      if (found === undefined) return;
      stop();
      resolve(found);
    };
    // What comes after the rooms of an answer is taken in after the event that says that it was complete.
    const later = (): void => void setImmediate(check);
    sliding.on(SlidingSyncEvent.Lifecycle, later);
    for (const event of [ClientEvent.Event, ClientEvent.AccountData, ClientEvent.ToDeviceEvent] as const)
      client.on(event, later);
    check();
  });
}
