/** What the reference client does beyond talking: threads, counts, search, spaces, polls, rules, devices, guests. */
import {
  createClient,
  Direction,
  EventType,
  HistoryVisibility,
  type IPushRule,
  M_POLL_END,
  M_POLL_KIND_DISCLOSED,
  M_POLL_RESPONSE,
  type M_POLL_START,
  type MatrixClient,
  type MatrixEvent,
  MsgType,
  NotificationCountType,
  Preset,
  PushRuleActionName,
  PushRuleKind,
  ReceiptType,
  RelationType,
  type Room,
  RoomType,
  SetPresence,
  Visibility,
} from 'matrix-js-sdk';
import type { RoomMessageEventContent } from 'matrix-js-sdk/lib/@types/events.js';
import { PollStartEvent } from 'matrix-js-sdk/lib/extensible_events_v1/PollStartEvent.js';
import { RoomHierarchy } from 'matrix-js-sdk/lib/room-hierarchy.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  clientOf,
  logIn,
  messageIn,
  muteConsole,
  onceAsync,
  onceThere,
  onceTrue,
  registerAccount,
  startSyncing,
} from '#test/support/js-sdk.ts';
import { PASSWORD, quiet } from '#test/support/sdk.ts';
import { SteleProcess } from '#test/support/stele-process.ts';

const { Highlight, Total } = NotificationCountType;

describe('matrix-js-sdk, further', () => {
  let stele: SteleProcess;
  let alice: MatrixClient;
  let bob: MatrixClient;
  let roomId: string;
  const clients: MatrixClient[] = [];

  beforeAll(async () => {
    muteConsole();
    stele = await SteleProcess.make();
    await stele.start();
    alice = await started('alice');
    bob = await started('bob');
    ({ room_id: roomId } = await alice.createRoom({ name: 'Henge', preset: Preset.PublicChat }));
    await bob.joinRoom(roomId);
    for (const client of [alice, bob]) {
      await onceTrue(client, () => client.getRoom(roomId)?.getJoinedMemberCount() === 2);
    }
  });

  afterAll(async () => {
    for (const client of clients) client.stopClient();
    await stele?.remove();
    vi.restoreAllMocks();
  });

  it('counts what is unread in a thread and outside of it', async () => {
    const { event_id: rootId } = await alice.sendTextMessage(roomId, 'How were they moved?');
    await messageIn(bob, roomId, 'How were they moved?');
    const inThread = (client: MatrixClient, body: string): Promise<{ event_id: string }> =>
      client.sendMessage(roomId, rootId, { msgtype: MsgType.Text, body });
    await inThread(bob, 'On sledges');
    await inThread(alice, 'By boat');
    await inThread(alice, 'By rope');
    const room = roomOf(bob);
    // The SDK takes in threads after it has said that it has taken in a sync.
    const unread = (type: NotificationCountType): number => room.getThreadUnreadNotificationCount(rootId, type);
    await expect.poll(() => [unread(Total), unread(Highlight), room.getThread(rootId)?.length]).toEqual([2, 0, 3]);
    expect(room.getThread(rootId)?.hasCurrentUserParticipated).toBe(true);

    const mention: RoomMessageEventContent = {
      msgtype: MsgType.Text,
      body: 'And you?',
      'm.mentions': { user_ids: ['@bob:localhost'] },
    };
    const { event_id: lastId } = await alice.sendMessage(roomId, rootId, mention);
    await expect.poll(() => [unread(Highlight), room.getUnreadNotificationCount(Total)]).toEqual([1, 4]);
    const lastIn = (client: MatrixClient): MatrixEvent | undefined =>
      roomOf(client).getThread(rootId)?.findEventById(lastId);
    await expect.poll(() => [lastIn(alice)?.status, lastIn(bob)?.status]).toEqual([null, null]);

    const last = lastIn(bob) ?? null;
    await bob.sendReadReceipt(last);
    await expect.poll(() => [unread(Total), room.getRoomUnreadNotificationCount(Total)]).toEqual([0, 1]);
    const isRead = (): boolean | undefined =>
      roomOf(alice).getThread(rootId)?.hasUserReadEvent('@bob:localhost', lastId);
    await expect.poll(isRead).toBe(true);
    const receipts = (): object[] => {
      const event = lastIn(alice);
      return event === undefined ? [] : (roomOf(alice).getThread(rootId)?.getReceiptsForEvent(event) ?? []);
    };
    await expect.poll(receipts).toContainEqual({
      userId: '@bob:localhost',
      type: ReceiptType.Read,
      data: expect.objectContaining({ thread_id: rootId }),
    });

    const { chunk } = await bob.createThreadListMessagesRequest(roomId, null, 10, Direction.Backward);
    expect(chunk.map((event) => event.event_id)).toEqual([rootId]);
  });

  it("a private receipt clears one's own count, and nobody is told", async () => {
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'Seen?');
    const event = await messageIn(bob, roomId, 'Seen?');
    await onceTrue(bob, () => roomOf(bob).getRoomUnreadNotificationCount(Total) > 0);
    await bob.sendReadReceipt(event, ReceiptType.ReadPrivate);
    await onceTrue(bob, () => roomOf(bob).getRoomUnreadNotificationCount(Total) === 0);
    // What came after it has been told, so the receipt would have been.
    await bob.sendTextMessage(roomId, 'Later');
    await messageIn(alice, roomId, 'Later');
    expect(roomOf(alice).getReceiptsForEvent(await messageIn(alice, roomId, 'Seen?'))).toEqual([]);
    await bob.setRoomReadMarkers(roomId, eventId);
    await onceTrue(bob, () => roomOf(bob).getAccountData(EventType.FullyRead)?.getContent()['event_id'] === eventId);
  });

  it('finds messages, with what was around them, page after page', async () => {
    for (let index = 0; index < 15; index++) await alice.sendTextMessage(roomId, `Trilithon number ${index}`);
    await onceAsync(
      alice,
      async () => (await alice.searchMessageText({ query: 'trilithon' })).search_categories.room_events?.count === 15,
    );
    const found = await alice.searchRoomEvents({ term: 'trilithon' });
    expect(found.count).toBe(15);
    expect(found.results[0]?.context.getEvent().getContent()['body']).toContain('Trilithon');
    const first = found.results.length;
    expect(first).toBeLessThan(15);
    await alice.backPaginateRoomEventsSearch(found);
    expect(found.results.length).toBe(15);
    expect(new Set(found.results.map(({ context }) => context.getEvent().getId())).size).toBe(15);
    expect(found.highlights).toContain('trilithon');
  });

  it('finds people', async () => {
    await alice.setDisplayName('Alice of the Plain');
    const { results, limited } = await bob.searchUserDirectory({ term: 'plain', limit: 5 });
    expect(limited).toBe(false);
    expect(results).toEqual([
      expect.objectContaining({ user_id: '@alice:localhost', display_name: 'Alice of the Plain' }),
    ]);
  });

  it('holds a poll', async () => {
    const { type, content } = PollStartEvent.from(
      'Which is older?',
      ['Henge', 'Avebury'],
      M_POLL_KIND_DISCLOSED,
    ).serialize();
    const { event_id: pollId } = await alice.sendEvent(roomId, type as typeof M_POLL_START.name, content as never);
    const poll = await onceThere(bob, () => roomOf(bob).polls.get(pollId));
    const [, avebury] = poll.pollEvent.answers;
    for (const client of [alice, bob]) {
      await client.sendEvent(
        roomId,
        M_POLL_RESPONSE.name as typeof M_POLL_START.name,
        {
          'm.relates_to': { rel_type: RelationType.Reference, event_id: pollId },
          [M_POLL_RESPONSE.name]: { answers: [avebury?.id ?? ''] },
        } as never,
      );
    }
    await onceAsync(bob, async () => (await poll.getResponses()).getRelations().length === 2);
    await alice.sendEvent(roomId, M_POLL_END.name, {
      'm.relates_to': { rel_type: RelationType.Reference, event_id: pollId },
      [M_POLL_END.name]: {},
    } as never);
    await onceTrue(bob, () => poll.isEnded);
    const { events } = await bob.relations(roomId, pollId, RelationType.Reference, M_POLL_RESPONSE.name);
    expect(events.map((event) => event.getSender()).sort()).toEqual(['@alice:localhost', '@bob:localhost']);
  });

  it('counts reactions, and takes one back', async () => {
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'Beautiful');
    const reacted = await react(bob, eventId, '👍');
    await react(alice, eventId, '👍');
    await react(alice, eventId, '🌄');
    const reactions = (): Record<string, number> => {
      const related = roomOf(bob).relations.getChildEventsForEvent(
        eventId,
        RelationType.Annotation,
        EventType.Reaction,
      );
      const sorted = related?.getSortedAnnotationsByKey() ?? [];
      return Object.fromEntries(sorted.map(([key, events]) => [key, events.size]));
    };
    await onceTrue(bob, () => reactions()['👍'] === 2 && reactions()['🌄'] === 1);
    await expect(react(alice, eventId, '👍')).rejects.toMatchObject({ errcode: 'M_DUPLICATE_ANNOTATION' });
    await bob.redactEvent(roomId, reacted);
    await onceTrue(bob, () => reactions()['👍'] === 1);
    const { events } = await alice.relations(roomId, eventId, RelationType.Annotation, EventType.Reaction);
    expect(events).toHaveLength(2);
  });

  it('tells who is there', async () => {
    await alice.setSyncPresence(SetPresence.Unavailable);
    await alice.setPresence({ presence: 'unavailable', status_msg: 'On the plain' });
    const user = await onceThere(bob, () => bob.getUser('@alice:localhost') ?? undefined);
    await onceTrue(bob, () => user.presence === 'unavailable');
    expect(user.presenceStatusMsg).toBe('On the plain');
    expect((await bob.getPresence('@alice:localhost')).presence).toBe('unavailable');
  });

  it('rings as its rules say', async () => {
    const rule: Pick<IPushRule, 'actions' | 'pattern'> = {
      pattern: 'solstice',
      actions: [PushRuleActionName.Notify, { set_tweak: 'highlight' } as never],
    };
    await bob.addPushRule('global', PushRuleKind.ContentSpecific, 'solstice', rule);
    await onceTrue(bob, () => bob.pushRules?.global.content?.some((one) => one.rule_id === 'solstice') === true);
    const before = roomOf(bob).getRoomUnreadNotificationCount(Highlight);
    await alice.sendTextMessage(roomId, 'It is solstice');
    await onceTrue(bob, () => roomOf(bob).getRoomUnreadNotificationCount(Highlight) === before + 1);
    const event = await messageIn(bob, roomId, 'It is solstice');
    expect(bob.getPushActionsForEvent(event)?.tweaks).toMatchObject({ highlight: true });

    await bob.setPushRuleEnabled('global', PushRuleKind.ContentSpecific, 'solstice', false);
    await bob.setRoomMutePushRule('global', roomId, true);
    await onceTrue(bob, () => bob.pushRules?.global.room?.some((one) => one.rule_id === roomId) === true);
    await bob.sendReadReceipt(event);
    await onceTrue(bob, () => roomOf(bob).getRoomUnreadNotificationCount(Total) === 0);
    await alice.sendTextMessage(roomId, 'It is solstice again');
    await messageIn(bob, roomId, 'It is solstice again');
    expect(roomOf(bob).getRoomUnreadNotificationCount(Total)).toBe(0);
    await bob.setRoomMutePushRule('global', roomId, false);
    await bob.deletePushRule('global', PushRuleKind.ContentSpecific, 'solstice');
    const rules = await bob.getPushRules();
    expect(JSON.stringify(rules)).not.toContain('solstice');
  });

  it('keeps tags, and silence from those one ignores', async () => {
    await alice.setRoomTag(roomId, 'm.favourite', { order: 0.5 });
    await onceTrue(alice, () => roomOf(alice).tags['m.favourite']?.order === 0.5);
    await bob.setIgnoredUsers(['@alice:localhost']);
    await onceTrue(bob, () => bob.isUserIgnored('@alice:localhost'));
    await alice.sendTextMessage(roomId, 'Do you hear me?');
    await bob.sendTextMessage(roomId, 'Silence');
    await messageIn(bob, roomId, 'Silence');
    expect(bodiesIn(bob)).not.toContain('Do you hear me?');
    await bob.setIgnoredUsers([]);
    await onceTrue(bob, () => !bob.isUserIgnored('@alice:localhost'));
  });

  it('walks a space, whose restricted room lets members in', async () => {
    const { room_id: spaceId } = await alice.createRoom({
      name: 'Wiltshire',
      preset: Preset.PublicChat,
      visibility: Visibility.Public,
      creation_content: { type: RoomType.Space },
    });
    const { room_id: insideId } = await alice.createRoom({
      name: 'Members',
      initial_state: [
        {
          type: EventType.RoomJoinRules,
          state_key: '',
          content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: spaceId }] },
        },
      ],
    });
    for (const [childId, suggested] of [
      [roomId, true],
      [insideId, false],
    ] as const) {
      await alice.sendStateEvent(spaceId, EventType.SpaceChild, { via: ['localhost'], suggested }, childId);
    }
    await expect(bob.joinRoom(insideId)).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
    await bob.joinRoom(spaceId);
    const space = await onceThere(bob, () =>
      bob.getRoom(spaceId)?.getMyMembership() === 'join' ? roomOf(bob, spaceId) : undefined,
    );
    expect(space.isSpaceRoom()).toBe(true);
    const hierarchy = new RoomHierarchy(space, 2);
    while (hierarchy.canLoadMore) await hierarchy.load();
    expect(hierarchy.rooms?.map((room) => room.name).sort()).toEqual(['Henge', 'Members', 'Wiltshire']);
    expect(hierarchy.isSuggested(spaceId, roomId)).toBe(true);
    expect(hierarchy.isSuggested(spaceId, insideId)).toBe(false);
    await bob.joinRoom(insideId);
    const { chunk } = await bob.publicRooms({ filter: { room_types: [RoomType.Space] } });
    expect(chunk.map((room) => room.room_id)).toEqual([spaceId]);
    expect(await bob.getRoomSummary(insideId)).toMatchObject({
      room_id: insideId,
      name: 'Members',
      num_joined_members: 2,
    });
  });

  it('moves to a new version of the room', async () => {
    const old = roomId;
    const { replacement_room: newId } = await alice.upgradeRoom(old, '11');
    await onceTrue(
      bob,
      () =>
        roomOf(bob, old).currentState.getStateEvents(EventType.RoomTombstone, '')?.getContent()['replacement_room'] ===
        newId,
    );
    await bob.joinRoom(newId);
    const room = await onceThere(bob, () =>
      bob.getRoom(newId)?.getMyMembership() === 'join' ? roomOf(bob, newId) : undefined,
    );
    expect(room.findPredecessor()?.roomId).toBe(old);
    expect([room.name, room.getVersion()]).toEqual(['Henge', '11']);
    await onceTrue(bob, () => bob.getRoomUpgradeHistory(newId, true).length === 2);
    await expect(bob.sendTextMessage(old, 'Anybody left?')).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
    roomId = newId;
  });

  it('finds the event of a moment', async () => {
    const { event_id: eventId } = await alice.sendTextMessage(roomId, 'Noon');
    const sentMs = (await messageIn(alice, roomId, 'Noon')).getTs();
    expect((await alice.timestampToEvent(roomId, sentMs, Direction.Forward)).event_id).toBe(eventId);
  });

  it('shows its devices, names them, and puts one out', async () => {
    const stolen = clientOf(stele.url, await logIn(stele.url, 'bob'));
    const stolenId = stolen.getDeviceId() ?? '';
    expect((await bob.getDevices()).devices).toHaveLength(2);
    await bob.setDeviceDetails(stolenId, { display_name: 'Stolen' });
    expect(await bob.getDevice(stolenId)).toMatchObject({
      device_id: stolenId,
      display_name: 'Stolen',
      last_seen_ts: expect.any(Number),
    });
    const refused: { httpStatus?: number; data?: { session?: string } } = await bob.deleteDevice(stolenId).then(
      () => ({}),
      (error) => error,
    );
    expect(refused.httpStatus).toBe(401);
    await bob.deleteDevice(stolenId, {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'bob' },
      password: PASSWORD,
      session: refused.data?.session ?? '',
    });
    await expect(stolen.whoami()).rejects.toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' });
    expect((await bob.getDevices()).devices).toHaveLength(1);
  });

  it('lets a guest look, and talk where guests may', async () => {
    await alice.setGuestAccess(roomId, { allowJoin: true, allowRead: true });
    expect(roomOf(alice).getHistoryVisibility()).toBeDefined();
    await onceTrue(alice, () => roomOf(alice).getHistoryVisibility() === HistoryVisibility.WorldReadable);
    await alice.sendTextMessage(roomId, 'Midnight');
    const account = await createClient({ baseUrl: stele.url, logger: quiet }).registerGuest();
    const guest = clientOf(stele.url, account);
    clients.push(guest);
    guest.setGuest(true);
    const peeked = await guest.peekInRoom(roomId);
    expect(peeked.name).toBe('Henge');
    const seen = peeked
      .getLiveTimeline()
      .getEvents()
      .map((event) => event.getContent()['body']);
    expect(seen).toContain('Midnight');
    // Said before everybody could read it.
    expect(seen).not.toContain('Noon');
    guest.stopPeeking();
    await startSyncing(guest);
    await guest.joinRoom(roomId);
    await onceTrue(guest, () => guest.getRoom(roomId)?.getMyMembership() === 'join');
    await guest.sendTextMessage(roomId, 'May I?');
    expect((await messageIn(alice, roomId, 'May I?')).getSender()).toBe(guest.getUserId());
    await expect(guest.createRoom({})).rejects.toMatchObject({ errcode: 'M_GUEST_ACCESS_FORBIDDEN' });
  });

  it('left no error in the log of the server', () => {
    expect(stele.logged('error')).toEqual([]);
  });

  async function started(username: string): Promise<MatrixClient> {
    const client = clientOf(stele.url, await registerAccount(stele.url, username), { timelineSupport: true });
    clients.push(client);
    await startSyncing(client, { threadSupport: true });
    return client;
  }

  function roomOf(client: MatrixClient, id = roomId): Room {
    const room = client.getRoom(id);
    if (room === null) throw new Error('the client does not know the room');
    return room;
  }

  function bodiesIn(client: MatrixClient): unknown[] {
    const events: MatrixEvent[] = roomOf(client).getLiveTimeline().getEvents();
    return events.map((event) => event.getContent()['body']);
  }

  async function react(client: MatrixClient, eventId: string, key: string): Promise<string> {
    const content = { 'm.relates_to': { rel_type: RelationType.Annotation, event_id: eventId, key } } as const;
    return (await client.sendEvent(roomId, EventType.Reaction, content)).event_id;
  }
});
