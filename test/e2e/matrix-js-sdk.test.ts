/** The reference client, which nobody here wrote, lives a day on the server. */
import { type MatrixClient, type MatrixEvent, MsgType, RelationType } from 'matrix-js-sdk';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  bodyOf,
  clientOf,
  logIn,
  messageIn,
  muteConsole,
  onceTrue,
  registerAccount,
  startSyncing,
} from '#test/support/js-sdk.ts';
import { SteleProcess } from '#test/support/stele-process.ts';

describe('matrix-js-sdk', () => {
  let stele: SteleProcess;
  let alice: MatrixClient;
  let bob: MatrixClient;
  let roomId: string;

  beforeAll(async () => {
    muteConsole();
    stele = await SteleProcess.make();
    await stele.start();
  });

  afterAll(async () => {
    alice?.stopClient();
    bob?.stopClient();
    await stele?.remove();
    vi.restoreAllMocks();
  });

  it('registers two users, who log in and sync', async () => {
    alice = clientOf(stele.url, await registerAccount(stele.url, 'alice'));
    bob = clientOf(stele.url, await registerAccount(stele.url, 'bob'));
    expect((await alice.whoami()).user_id).toBe('@alice:localhost');
    await Promise.all([startSyncing(alice), startSyncing(bob)]);
  });

  it('makes a room, invites, joins', async () => {
    const created = await alice.createRoom({ name: 'Standing stones', topic: 'How old?', invite: ['@bob:localhost'] });
    roomId = created.room_id;
    await onceTrue(bob, () => bob.getRoom(roomId)?.getMyMembership() === 'invite');
    expect(bob.getRoom(roomId)?.name).toBe('Standing stones');
    await bob.joinRoom(roomId);
    await onceTrue(alice, () => alice.getRoom(roomId)?.getMember('@bob:localhost')?.membership === 'join');
    await onceTrue(bob, () => bob.getRoom(roomId)?.getMyMembership() === 'join');
    for (const client of [alice, bob]) expect(client.getRoom(roomId)?.getJoinedMemberCount()).toBe(2);
  });

  it('sends, and the other receives', async () => {
    await alice.sendTextMessage(roomId, 'Good morning');
    expect((await message(bob, 'Good morning')).getSender()).toBe('@alice:localhost');
  });

  it('edits: the other sees the new text in the place of the old', async () => {
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'They are old');
    const original = await message(bob, 'They are old');
    await alice.sendMessage(roomId, {
      msgtype: MsgType.Text,
      body: '* They are very old',
      'm.new_content': { msgtype: MsgType.Text, body: 'They are very old' },
      'm.relates_to': { rel_type: RelationType.Replace, event_id: eventId },
    });
    await onceTrue(bob, () => bodyOf(original) === 'They are very old');
  });

  it('redacts: the content is gone for both', async () => {
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'A secret');
    const original = await message(bob, 'A secret');
    await alice.redactEvent(roomId, eventId, undefined, { reason: 'Said too much' });
    await onceTrue(bob, () => original.isRedacted());
    expect(original.getUnsigned().redacted_because?.content).toMatchObject({ reason: 'Said too much' });
    for (const client of [alice, bob])
      expect(await client.fetchRoomEvent(roomId, eventId)).toMatchObject({ content: {} });
  });

  it('shows who is typing, and how far somebody has read', async () => {
    await alice.sendTyping(roomId, true, 10_000);
    await onceTrue(bob, () => bob.getRoom(roomId)?.getMember('@alice:localhost')?.typing === true);
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'Read this');
    await bob.sendReadReceipt(await message(bob, 'Read this'));
    await onceTrue(alice, () => alice.getRoom(roomId)?.hasUserReadEvent('@bob:localhost', eventId) === true);
  });

  it('uploads an avatar, which the other sees and downloads', async () => {
    const picture = Buffer.from('89504e470d0a1a0a', 'hex');
    const { content_uri: uri } = await alice.uploadContent(picture, { type: 'image/png', name: 'stone.png' });
    await alice.setAvatarUrl(uri);
    await onceTrue(bob, () => bob.getRoom(roomId)?.getMember('@alice:localhost')?.getMxcAvatarUrl() === uri);
    const url = bob.mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true) ?? '';
    const download = await fetch(url, { headers: { authorization: `Bearer ${bob.getAccessToken()}` } });
    expect(download.headers.get('content-type')).toBe('image/png');
    expect(Buffer.from(await download.arrayBuffer())).toEqual(picture);
  });

  it('pages back to the first event of the room on a new device', async () => {
    for (let index = 0; index < LINES; index++) await alice.sendTextMessage(roomId, `line ${index}`);
    const tablet = clientOf(stele.url, await logIn(stele.url, 'bob'));
    try {
      await startSyncing(tablet);
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
        .map(bodyOf)
        .filter((body) => body?.startsWith('line '));
      expect(lines).toEqual(Array.from({ length: LINES }, (_, index) => `line ${index}`));
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
    await alice.sendTextMessage(roomId, 'After the crash');
    for (const client of [alice, bob]) client.retryImmediately();
    await message(bob, 'After the crash');
    const events = bob.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    expect(new Set(events.map((event) => event.getId())).size).toBe(events.length);
  });

  it('leaves, and the room is gone for who left and emptier for who stayed', async () => {
    await bob.leave(roomId);
    await onceTrue(alice, () => alice.getRoom(roomId)?.getJoinedMemberCount() === 1);
    await onceTrue(bob, () => bob.getRoom(roomId)?.getMyMembership() === 'leave');
    await bob.logout(true);
    await expect(bob.whoami()).rejects.toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' });
  });

  it('left no error in the log of the server', () => {
    expect(stele.logged('error')).toEqual([]);
  });

  function message(client: MatrixClient, body: string): Promise<MatrixEvent> {
    return messageIn(client, roomId, body);
  }
});

/** More than the clients ask for at once, so that there is something to page through. */
const LINES = 60;
