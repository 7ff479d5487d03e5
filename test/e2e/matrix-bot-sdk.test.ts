/** A bot as most bots are made, with an SDK that nobody here wrote, serves a room and a space. */
import type { MatrixClient, MatrixError, Space } from 'matrix-bot-sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { botSdk } from '#test/support/bot-sdk.ts';
import { PASSWORD } from '#test/support/sdk.ts';
import { SteleProcess } from '#test/support/stele-process.ts';

const { AutojoinRoomsMixin, LogLevel, LogService, MatrixAuth, MemoryStorageProvider, PowerLevelAction } = botSdk;

interface RoomEvent {
  readonly event_id: string;
  readonly type: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content: Readonly<Record<string, unknown>>;
  readonly unsigned?: Readonly<Record<string, unknown>>;
}

describe('matrix-bot-sdk', () => {
  let stele: SteleProcess;
  let bot: MatrixClient;
  let ada: MatrixClient;
  let heardByBot: Heard;
  let heardByAda: Heard;
  let roomId: string;
  let invited: Promise<string>;
  const clients: MatrixClient[] = [];

  beforeAll(async () => {
    LogService.setLevel(LogLevel.ERROR);
    LogService.muteModule('MatrixHttpClient');
    LogService.muteModule('MatrixClientLite');
    stele = await SteleProcess.make();
    await stele.start();
  });

  afterAll(async () => {
    for (const client of clients) client.stop();
    await stele?.remove();
  });

  it('registers by the stages the server asks for, and says who it is', async () => {
    const auth = new MatrixAuth(stele.url);
    bot = await auth.passwordRegister('bot', PASSWORD, 'A machine');
    ada = await auth.passwordRegister('ada', PASSWORD);
    clients.push(bot, ada);
    expect(await bot.getUserId()).toBe('@bot:localhost');
    expect(await bot.doesServerSupportVersion('v1.11')).toBe(true);
    const again = await auth.passwordLogin('bot', PASSWORD, 'The same machine');
    expect(await again.getUserId()).toBe('@bot:localhost');
    const devices = await again.getOwnDevices();
    expect(devices.map((device) => device.display_name).sort()).toEqual(['A machine', 'The same machine']);
    await expect(auth.passwordRegister('ada', PASSWORD)).rejects.toThrow('Failed to register');
    await again.doRequest('POST', '/_matrix/client/v3/logout');
  });

  it('listens, and joins where it is invited', async () => {
    AutojoinRoomsMixin.setupOnClient(bot);
    invited = new Promise((resolve) => bot.once('room.join', resolve));
    heardByBot = new Heard(bot);
    heardByAda = new Heard(ada);
    await Promise.all([bot.start(), ada.start()]);
    roomId = await ada.createRoom({ name: 'Workshop', preset: 'trusted_private_chat', invite: ['@bot:localhost'] });
    expect(await invited).toBe(roomId);
    await heardByAda.until((event) => event.state_key === '@bot:localhost' && event.content['membership'] === 'join');
    expect((await ada.getJoinedRoomMembers(roomId)).sort()).toEqual(['@ada:localhost', '@bot:localhost']);
    expect(await bot.getJoinedRooms()).toEqual([roomId]);
  });

  it('answers: a reply, a thread, a reaction, an edit', async () => {
    const asked = await ada.sendText(roomId, '!weather');
    const question = await heardByBot.until((event) => event.event_id === asked);
    expect(question.content).toMatchObject({ msgtype: 'm.text', body: '!weather' });
    const reply = await bot.replyNotice(roomId, question, 'Rain');
    const replied = await heardByAda.until((event) => event.event_id === reply);
    expect(replied.content['m.relates_to']).toMatchObject({ 'm.in_reply_to': { event_id: asked } });

    const inThread = await bot.sendMessage(roomId, {
      msgtype: 'm.text',
      body: 'Until Tuesday',
      'm.relates_to': {
        rel_type: 'm.thread',
        event_id: asked,
        is_falling_back: true,
        'm.in_reply_to': { event_id: reply },
      },
    });
    await heardByAda.until((event) => event.event_id === inThread);
    const reaction = await ada.unstableApis.addReactionToEvent(roomId, reply, '☔');
    await heardByBot.until((event) => event.event_id === reaction);
    const edit = await bot.sendMessage(roomId, {
      msgtype: 'm.notice',
      body: '* Heavy rain',
      'm.new_content': { msgtype: 'm.notice', body: 'Heavy rain' },
      'm.relates_to': { rel_type: 'm.replace', event_id: reply },
    });
    await heardByAda.until((event) => event.event_id === edit);

    const root: RoomEvent = await ada.getRawEvent(roomId, asked);
    expect(root.unsigned?.['m.relations']).toMatchObject({
      'm.thread': { count: 1, latest_event: { event_id: inThread }, current_user_participated: true },
    });
    const edited: RoomEvent = await ada.getRawEvent(roomId, reply);
    expect(edited.unsigned?.['m.relations']).toMatchObject({ 'm.replace': { event_id: edit } });

    expect(await relatedTo(asked)).toEqual([inThread]);
    expect((await relatedTo(reply)).sort()).toEqual([edit, reaction].sort());
    expect(await relatedTo(reply, 'm.annotation')).toEqual([reaction]);
    expect(await relatedTo(reply, 'm.annotation', 'm.reaction')).toEqual([reaction]);
    expect(await relatedTo(reply, 'm.annotation', 'm.room.message')).toEqual([]);
    const context = await ada.getEventContext(roomId, reply, 2);
    expect([context.before, context.after].flat().map((event) => event.eventId)).toContain(inThread);
  });

  it('takes back what it said', async () => {
    const regretted = await bot.sendHtmlText(roomId, 'I am <b>sentient</b>');
    const shown = await heardByAda.until((event) => event.event_id === regretted);
    expect(shown.content).toMatchObject({ format: 'org.matrix.custom.html', formatted_body: 'I am <b>sentient</b>' });
    const redaction = await bot.redactEvent(roomId, regretted, 'No');
    await heardByAda.until((event) => event.event_id === redaction);
    const gone: RoomEvent = await ada.getRawEvent(roomId, regretted);
    expect(gone.content).toEqual({});
    expect(gone.unsigned?.['redacted_because']).toMatchObject({ event_id: redaction, content: { reason: 'No' } });
  });

  it('uploads a file that others download', async () => {
    const file = Buffer.from('not quite empty');
    const uri = await bot.uploadContent(file, 'text/plain', 'note.txt');
    const [, mediaId] = /^mxc:\/\/localhost\/([A-Za-z0-9_-]+)$/.exec(uri) ?? [];
    await bot.sendMessage(roomId, { msgtype: 'm.file', body: 'note.txt', url: uri });
    const shown = await heardByAda.until((event) => event.content['url'] === uri);
    expect(shown.content).toMatchObject({ msgtype: 'm.file', body: 'note.txt' });
    const raw = true;
    const asBytes = true;
    const download: { body: Buffer; headers: Record<string, string> } = await ada.doRequest(
      'GET',
      `/_matrix/client/v1/media/download/localhost/${mediaId}`,
      null,
      null,
      60_000,
      raw,
      undefined,
      asBytes,
    );
    expect(download.headers['content-type']).toBe('text/plain');
    expect(download.headers['content-disposition']).toContain('note.txt');
    expect(download.body).toEqual(file);
    // The SDK's own way asks where nobody has to say who they are, which is closed to what is new.
    await expect(ada.downloadContent(uri)).rejects.toMatchObject({ statusCode: 404 });
  });

  it('sets state, and is kept from what it has no power for', async () => {
    const other = await new MatrixAuth(stele.url).passwordRegister('bea', PASSWORD);
    clients.push(other);
    await ada.inviteUser('@bea:localhost', roomId);
    await other.joinRoom(roomId);
    await ada.sendStateEvent(roomId, 'org.example.weather', 'berlin', { sky: 'grey' });
    expect(await bot.getRoomStateEvent(roomId, 'org.example.weather', 'berlin')).toEqual({ sky: 'grey' });
    const state: RoomEvent[] = await bot.getRoomState(roomId);
    expect(state.filter(({ type }) => type === 'org.example.weather')).toHaveLength(1);
    await expect(bot.getRoomStateEvent(roomId, 'org.example.weather', 'paris')).rejects.toMatchObject({
      errcode: 'M_NOT_FOUND',
    });

    await expect(other.sendStateEvent(roomId, 'org.example.weather', 'berlin', {})).rejects.toMatchObject({
      errcode: 'M_FORBIDDEN',
      statusCode: 403,
    });
    expect(await bot.userHasPowerLevelForAction('@bea:localhost', roomId, PowerLevelAction.Kick)).toBe(false);
    await ada.setUserPowerLevel('@bea:localhost', roomId, 50);
    expect(await bot.userHasPowerLevelForAction('@bea:localhost', roomId, PowerLevelAction.Kick)).toBe(true);
    expect(await bot.userHasPowerLevelFor('@bea:localhost', roomId, 'org.example.weather', true)).toBe(true);
    await other.sendStateEvent(roomId, 'org.example.weather', 'berlin', { sky: 'blue' });
    expect(await bot.getRoomStateEvent(roomId, 'org.example.weather', 'berlin')).toEqual({ sky: 'blue' });
    await expect(other.setUserPowerLevel('@bot:localhost', roomId, 60)).rejects.toMatchObject({
      errcode: 'M_FORBIDDEN',
    });
  });

  it('shows people out', async () => {
    await ada.kickUser('@bea:localhost', roomId, 'Enough');
    expect((await bot.getJoinedRoomMembers(roomId)).sort()).toEqual(['@ada:localhost', '@bot:localhost']);
    await ada.banUser('@bea:localhost', roomId);
    const [bea] = clients.slice(-1);
    await expect(bea?.joinRoom(roomId)).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
    expect((await bot.getRoomMembersByMembership(roomId, 'ban')).map((event) => event.membershipFor)).toEqual([
      '@bea:localhost',
    ]);
    await ada.unbanUser('@bea:localhost', roomId);
    expect(await bot.getRoomMembersByMembership(roomId, 'ban')).toEqual([]);
  });

  it('gives a room its names', async () => {
    await ada.createRoomAlias('#workshop:localhost', roomId);
    expect(await bot.resolveRoom('#workshop:localhost')).toBe(roomId);
    expect(await bot.lookupRoomAlias('#workshop:localhost')).toMatchObject({ roomId, residentServers: ['localhost'] });
    await ada.sendStateEvent(roomId, 'm.room.canonical_alias', '', { alias: '#workshop:localhost' });
    expect(await bot.getPublishedAlias(roomId)).toBe('#workshop:localhost');
    await ada.setDirectoryVisibility(roomId, 'public');
    expect(await bot.getDirectoryVisibility(roomId)).toBe('public');
    await expect(ada.createRoomAlias('#workshop:localhost', roomId)).rejects.toMatchObject({ statusCode: 409 });
    await ada.deleteRoomAlias('#workshop:localhost');
    await expect(bot.resolveRoom('#workshop:localhost')).rejects.toMatchObject({ errcode: 'M_NOT_FOUND' });
  });

  it('keeps notes with its account, and tells how it is', async () => {
    const noted = new Promise((resolve) => {
      bot.on('account_data', (event: RoomEvent) => event.type === 'org.example.notes' && resolve(event.content));
    });
    await bot.setAccountData('org.example.notes', { seen: 3 });
    expect(await noted).toEqual({ seen: 3 });
    expect(await bot.getAccountData('org.example.notes')).toEqual({ seen: 3 });
    await bot.setRoomAccountData('org.example.notes', roomId, { seen: 4 });
    expect(await bot.getRoomAccountData('org.example.notes', roomId)).toEqual({ seen: 4 });
    expect(await bot.getSafeAccountData('org.example.nothing', { seen: 0 })).toEqual({ seen: 0 });

    await bot.setPresenceStatus('online', 'Forecasting');
    expect(await ada.getPresenceStatusFor('@bot:localhost')).toMatchObject({
      state: 'online',
      statusMessage: 'Forecasting',
    });
    await bot.setDisplayName('Weather');
    expect(await ada.getUserProfile('@bot:localhost')).toMatchObject({ displayname: 'Weather' });
    await heardByAda.until(
      (event) => event.content['displayname'] === 'Weather' && event.state_key === '@bot:localhost',
    );
    const { event_id: lastId } = await heardByBot.until(({ content }) => content['body'] === '!weather');
    await bot.sendReadReceipt(roomId, lastId);
    await bot.setTyping(roomId, true, 1000);
    await bot.setTyping(roomId, false);
  });

  it('makes a direct conversation once', async () => {
    const dmId = await bot.dms.getOrCreateDm('@ada:localhost');
    await ada.joinRoom(dmId);
    expect(await bot.dms.getOrCreateDm('@ada:localhost')).toBe(dmId);
    expect(bot.dms.isDm(dmId)).toBe(true);
    expect(await bot.getAccountData('m.direct')).toEqual({ '@ada:localhost': [dmId] });
  });

  it('builds a space, whose rooms a child of it shows', async () => {
    const makeSpace = async (name: string): Promise<Space> => {
      const visible = {
        type: 'm.room.history_visibility',
        state_key: '',
        content: { history_visibility: 'world_readable' },
      };
      return ada.getSpace(
        await ada.createRoom({
          name,
          preset: 'public_chat',
          room_alias_name: name,
          creation_content: { type: 'm.space' },
          initial_state: [visible],
        }),
      );
    };
    const space = await makeSpace('guild');
    const child = await makeSpace('masons');
    await space.addChildSpace(child, { suggested: true });
    await space.addChildRoom(roomId, { order: 'a' });
    await bot.joinRoom('#guild:localhost');
    const seen = await bot.getSpace('#guild:localhost');
    expect(Object.keys(await seen.getChildEntities()).sort()).toEqual([child.roomId, roomId].sort());
    await space.removeChildRoom(roomId);
    expect(Object.keys(await seen.getChildEntities())).toEqual([child.roomId]);
    await expect(bot.getSpace(roomId)).rejects.toThrow('Room is not a space');
    const entry = await seen.getChildEntities();
    expect(entry[child.roomId]?.suggested).toBe(true);
    // The SDK's own way gives the creator a power level, which rooms of version 12 have no place for.
    await expect(ada.createSpace({ name: 'Old', isPublic: true })).rejects.toMatchObject({
      errcode: 'M_INVALID_ROOM_STATE',
      statusCode: 400,
    });
  });

  it('follows an upgrade of the room', async () => {
    const answer = await ada.doRequest('POST', `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/upgrade`, null, {
      new_version: '11',
    });
    const newId = String(answer.replacement_room);
    const tombstone = await heardByBot.until((event) => event.type === 'm.room.tombstone');
    expect(tombstone.content['replacement_room']).toBe(newId);
    const joined = new Promise((resolve) => bot.once('room.join', resolve));
    await ada.inviteUser('@bot:localhost', newId);
    expect(await joined).toBe(newId);
    const history = await bot.getRoomUpgradeHistory(newId);
    expect(history.previous.map((room) => room.roomId)).toEqual([roomId]);
    roomId = newId;
  });

  it('starts again where it was, and hears only what was said since', async () => {
    const storage = new MemoryStorageProvider();
    const later = (): MatrixClient => {
      const client = new botSdk.MatrixClient(stele.url, bot.accessToken, storage);
      clients.push(client);
      return client;
    };
    const first = later();
    const heardFirst = new Heard(first);
    await first.start();
    // Stopped while it takes in an answer, it asks for no other.
    first.on('room.event', (_: string, event: RoomEvent) => {
      if (event.content['body'] === 'Before the break') first.stop();
    });
    const before = await ada.sendText(roomId, 'Before the break');
    await heardFirst.until((event) => event.event_id === before);

    const missed = await ada.sendText(roomId, 'While it was away');
    const second = later();
    const heardSecond = new Heard(second);
    await second.start();
    await heardSecond.until((event) => event.event_id === missed);
    const after = await ada.sendText(roomId, 'When it is back');
    await heardSecond.until((event) => event.event_id === after);
    second.stop();
    expect(heardSecond.all.map((event) => event.event_id)).toEqual([missed, after]);
  });

  it('hears only what it filters for', async () => {
    const login = await new MatrixAuth(stele.url).passwordLogin('bot', PASSWORD);
    const picky = new botSdk.MatrixClient(stele.url, login.accessToken, new MemoryStorageProvider());
    clients.push(picky);
    const heard = new Heard(picky);
    await picky.start({
      room: { rooms: [roomId], timeline: { types: ['org.example.p*'], not_senders: ['@bot:localhost'] } },
    });
    await ada.sendText(roomId, 'Not for you');
    await bot.sendEvent(roomId, 'org.example.ping', { n: 0 });
    await ada.sendEvent(roomId, 'org.example.ping', { n: 1 });
    await ada.sendEvent(roomId, 'org.example.pong', { n: 2 });
    await heard.until((event) => event.content['n'] === 2);
    expect(heard.all.map((event) => [event.type, event.content['n']])).toEqual([
      ['org.example.ping', 1],
      ['org.example.pong', 2],
    ]);
  });

  it('leaves, and has nothing more to do with the room', async () => {
    const left = new Promise((resolve) => bot.once('room.leave', resolve));
    await bot.leaveRoom(roomId, 'Done');
    expect(await left).toBe(roomId);
    await bot.forgetRoom(roomId);
    const refused: MatrixError = await bot.sendText(roomId, 'One more thing').then(
      () => Promise.reject(new Error('it was let in')),
      (error: MatrixError) => error,
    );
    expect([refused.statusCode, refused.errcode]).toEqual([403, 'M_FORBIDDEN']);
    expect(stele.logged('error')).toEqual([]);
  });

  async function relatedTo(eventId: string, relationType?: string, eventType?: string): Promise<string[]> {
    const { chunk } = await ada.getRelationsForEvent(roomId, eventId, relationType, eventType);
    return chunk.map((event: RoomEvent) => event.event_id);
  }
});

/** All timeline events that a client has been given, oldest first. */
class Heard {
  readonly all: RoomEvent[] = [];
  readonly #client: MatrixClient;

  constructor(client: MatrixClient) {
    this.#client = client;
    client.on('room.event', (_: string, event: RoomEvent) => this.all.push(event));
  }

  /** Resolves with the first event that matches, heard by now or later. */
  until(matches: (event: RoomEvent) => boolean): Promise<RoomEvent> {
    const found = this.all.find(matches);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => {
      const check = (_: string, event: RoomEvent): void => {
        if (!matches(event)) return;
        this.#client.off('room.event', check);
        resolve(event);
      };
      this.#client.on('room.event', check);
    });
  }
}
