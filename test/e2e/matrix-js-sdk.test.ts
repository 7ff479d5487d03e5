/** The reference client, which nobody here wrote, lives a day on the server. */
import {
  ClientEvent,
  createClient,
  type IContent,
  type MatrixClient,
  type MatrixEvent,
  MatrixEventEvent,
  MsgType,
  RelationType,
  type Room,
  RoomEvent,
  RoomMemberEvent,
  SyncState,
} from 'matrix-js-sdk';
import type { Logger } from 'matrix-js-sdk/lib/logger.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SteleProcess } from '#test/support/stele-process.ts';

/** The SDK says a lot; a failing test says enough by itself. */
const quiet: Logger = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  getChild: () => quiet,
};

describe('matrix-js-sdk', () => {
  let stele: SteleProcess;
  let alice: MatrixClient;
  let bob: MatrixClient;
  let roomId: string;

  beforeAll(async () => {
    stele = await SteleProcess.make();
    await stele.start();
  });

  afterAll(async () => {
    alice?.stopClient();
    bob?.stopClient();
    await stele?.remove();
  });

  it('registers two users, who log in and sync', async () => {
    alice = await newClient(stele, 'alice');
    bob = await newClient(stele, 'bob');
    expect((await alice.whoami()).user_id).toBe('@alice:localhost');
    await Promise.all([started(alice), started(bob)]);
  });

  it('makes a room, invites, joins', async () => {
    const invited = eventually<void>((done) => {
      bob.on(RoomMemberEvent.Membership, (_event, member) => {
        if (member.userId === '@bob:localhost' && member.membership === 'invite') done();
      });
    });
    const created = await alice.createRoom({ name: 'Standing stones', topic: 'How old?', invite: ['@bob:localhost'] });
    roomId = created.room_id;
    await invited;
    expect(bob.getRoom(roomId)?.getMyMembership()).toBe('invite');
    expect(bob.getRoom(roomId)?.name).toBe('Standing stones');
    const joined = eventually<void>((done) => {
      alice.on(RoomMemberEvent.Membership, (_event, member) => {
        if (member.userId === '@bob:localhost' && member.membership === 'join') done();
      });
    });
    await bob.joinRoom(roomId);
    await joined;
    expect(alice.getRoom(roomId)?.getJoinedMemberCount()).toBe(2);
  });

  it('sends, and the other receives', async () => {
    const received = nextMessage(bob, roomId, 'Good morning');
    await alice.sendTextMessage(roomId, 'Good morning');
    expect((await received).getSender()).toBe('@alice:localhost');
  });

  it('edits: the other sees the new text in the place of the old', async () => {
    const first = nextMessage(bob, roomId, 'They are old');
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'They are old');
    const original = await first;
    const replaced = eventually<void>((done) => original.once(MatrixEventEvent.Replaced, () => done()));
    await alice.sendMessage(roomId, {
      msgtype: MsgType.Text,
      body: '* They are very old',
      'm.new_content': { msgtype: MsgType.Text, body: 'They are very old' },
      'm.relates_to': { rel_type: RelationType.Replace, event_id: eventId },
    });
    await replaced;
    expect((original.getContent() as IContent).body).toBe('They are very old');
  });

  it('redacts: the content is gone for both', async () => {
    const first = nextMessage(bob, roomId, 'A secret');
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'A secret');
    const original = await first;
    const redacted = eventually<void>((done) => {
      bob.getRoom(roomId)?.on(RoomEvent.Redaction, (event) => {
        if (event.getAssociatedId() === eventId) done();
      });
    });
    await alice.redactEvent(roomId, eventId);
    await redacted;
    expect(original.isRedacted()).toBe(true);
    expect(await bob.fetchRoomEvent(roomId, eventId)).toMatchObject({ content: {} });
  });

  it('shows who is typing, and how far somebody has read', async () => {
    const typing = eventually<void>((done) => {
      bob.on(RoomMemberEvent.Typing, (_event, member) => {
        if (member.userId === '@alice:localhost' && member.typing) done();
      });
    });
    await alice.sendTyping(roomId, true, 10_000);
    await typing;
    const last = bob.getRoom(roomId)?.getLastLiveEvent();
    if (last === undefined) throw new Error('no event');
    const read = eventually<void>((done) => {
      alice.getRoom(roomId)?.on(RoomEvent.Receipt, (_event, room: Room) => {
        if (room.hasUserReadEvent('@bob:localhost', last.getId() ?? '')) done();
      });
    });
    await bob.sendReadReceipt(last);
    await read;
  });

  it('pages back to the first event of the room on a new device', async () => {
    for (let index = 0; index < 60; index++) await alice.sendTextMessage(roomId, `line ${index}`);
    const login = await createClient({ baseUrl: stele.url, logger: quiet }).loginRequest({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'bob' },
      password: PASSWORD,
    });
    const tablet = createClient({
      baseUrl: stele.url,
      logger: quiet,
      accessToken: login.access_token,
      userId: login.user_id,
      deviceId: login.device_id,
    });
    await started(tablet);
    try {
      const room = tablet.getRoom(roomId);
      if (room === null) throw new Error('the room is not in the first sync');
      const seen = (): MatrixEvent[] => room.getLiveTimeline().getEvents();
      let before = -1;
      while (before !== seen().length) {
        before = seen().length;
        await tablet.scrollback(room, 20);
      }
      expect(seen()[0]?.getType()).toBe('m.room.create');
      const lines = seen()
        .map((event) => (event.getContent() as IContent).body)
        .filter((body) => body?.startsWith('line '));
      expect(lines).toEqual(Array.from({ length: 60 }, (_, index) => `line ${index}`));
    } finally {
      tablet.stopClient();
      await tablet.logout(true);
    }
  });

  it('goes on after the server was killed, with everything that was acknowledged', async () => {
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'Before the crash');
    await stele.stop('SIGKILL');
    await stele.start();
    expect(await bob.fetchRoomEvent(roomId, eventId)).toMatchObject({ content: { body: 'Before the crash' } });
    const received = nextMessage(bob, roomId, 'After the crash');
    bob.retryImmediately();
    await alice.sendTextMessage(roomId, 'After the crash');
    await received;
  });
});

const PASSWORD = 'correct horse battery staple';

async function newClient(stele: SteleProcess, username: string): Promise<MatrixClient> {
  const anonymous = createClient({ baseUrl: stele.url, logger: quiet });
  const account = await anonymous.registerRequest({
    username,
    password: PASSWORD,
    auth: { type: 'm.login.dummy' },
  });
  if (account.access_token === undefined) throw new Error('registering did not log in');
  return createClient({
    baseUrl: stele.url,
    logger: quiet,
    accessToken: account.access_token,
    userId: account.user_id,
    ...(account.device_id !== undefined && { deviceId: account.device_id }),
  });
}

async function started(client: MatrixClient): Promise<void> {
  const prepared = eventually<void>((done) => {
    client.on(ClientEvent.Sync, (state) => {
      if (state === SyncState.Prepared) done();
    });
  });
  await client.startClient({ initialSyncLimit: 20 });
  await prepared;
}

function nextMessage(client: MatrixClient, roomId: string, body: string): Promise<MatrixEvent> {
  return eventually((done) => {
    client.on(RoomEvent.Timeline, (event, room) => {
      if (room?.roomId === roomId && (event.getContent() as IContent).body === body && event.status === null)
        done(event);
    });
  });
}

function eventually<T>(listen: (done: (value: T) => void) => void): Promise<T> {
  return new Promise((resolve) => listen(resolve));
}
