/** What push rules cost, in time of computing: judging one message for everybody in a large room, and counting what is unread after a restart. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { pusherRecord } from '#projections/pushers/records.ts';
import { type Event, eventAt, eventById, findRoom, type Room } from '#projections/rooms/queries.ts';
import { timeline } from '#projections/rooms/tables.ts';
import { isSubscribed } from '#projections/thread-subscriptions/projection.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { signingKeyFromSeed } from '#protocol/signing.ts';
import { StreamCommands } from '#src/commands/stream-command.ts';
import { silentLog } from '#src/log/logger.ts';
import { PushProfiles } from '#src/push/push-profiles.ts';
import { Audiences, nameOf } from '#src/push/sender/audiences.ts';
import { PushSender } from '#src/push/sender/push-sender.ts';
import { UnreadCounts } from '#src/push/unread.ts';
import { firstEvents } from '#src/rooms/first-events.ts';
import { Rooms } from '#src/rooms/rooms.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { NO_STREAM } from '#streams/event-log.ts';
import { openMemoryLog } from '#streams/memory/memory-log.ts';
import type { BenchResult } from './result.ts';

const ROOM_VERSION = '12';
const SERVER_NAME = 'bench.invalid';
const CREATOR = `@creator:${SERVER_NAME}`;
const READER = `@reader:${SERVER_NAME}`;
const MEMBERS = 5000;
const ROUNDS = 15;
const ROOMS = 500;
const UNREAD_PER_ROOM = 200;
const SENT_AT_ONCE = 100;
const BODY = 'The quick brown fox jumps over the lazy dog. '.repeat(4);

/** A server without anything that answers requests. */
class World implements AsyncDisposable {
  readonly log: ReturnType<typeof openMemoryLog>;
  readonly engine: ProjectionEngine;
  readonly rooms: Rooms;
  readonly reader: Reader;
  readonly #dir: string;
  #made = 0;

  private constructor(engine: ProjectionEngine, dir: string, log: World['log']) {
    this.log = log;
    this.engine = engine;
    this.reader = engine.reader;
    this.#dir = dir;
    this.rooms = new Rooms({
      log,
      reader: engine.reader,
      serverName: SERVER_NAME,
      signingKey: signingKeyFromSeed('ed25519:bench', Buffer.alloc(32, 1)),
      clock: Date.now,
      newRecordId: () => randomBytes(16),
      newStreamId: () => randomBytes(15).toString('base64url'),
      newEventLocalpart: () => randomBytes(18).toString('base64url'),
    });
  }

  static async open(): Promise<World> {
    const dir = await mkdtemp(path.join(tmpdir(), 'stele-bench-push-'));
    const log = openMemoryLog();
    const engine = await ProjectionEngine.open({ dir, log, projections: coreProjections, safeCopies: false });
    return new World(engine, dir, log);
  }

  async createRoom(members: readonly string[]): Promise<Room> {
    const rules = roomVersionRules(ROOM_VERSION);
    if (rules === undefined) throw new Error(`room version ${ROOM_VERSION} is unknown`);
    const events = firstEvents(
      {
        creator: CREATOR,
        preset: 'public_chat',
        creatorProfile: { displayname: 'Creator' },
        creationContent: { made: ++this.#made },
        initialState: [],
        invitees: new Map(),
        isDirect: false,
        powerLevelContentOverride: {},
      },
      rules,
    );
    const roomId = await this.rooms.create(rules, '', events);
    await inTurns(members, (userId) =>
      this.rooms.send(roomId, {
        sender: userId,
        type: 'm.room.member',
        stateKey: userId,
        content: { membership: 'join', displayname: `Member ${userId.slice(1, 9)}` },
      }),
    );
    const room = findRoom(this.reader, roomId);
    if (room === undefined) throw new Error('the room was not made');
    return room;
  }

  async say({ roomId }: Room, more: JsonObject = {}): Promise<Event> {
    const content = { msgtype: 'm.text', body: BODY, ...more };
    const { eventId } = await this.rooms.send(roomId, { sender: CREATOR, type: 'm.room.message', content });
    const event = eventById(this.reader, eventId);
    if (event === undefined) throw new Error('the message was not stored');
    return event;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close();
    await this.log.close();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/** Both measurements. */
export async function runPushBench(): Promise<BenchResult[]> {
  return [...(await judgeForMembers()), await countUnread()];
}

async function judgeForMembers(): Promise<BenchResult[]> {
  await using world = await World.open();
  const members = Array.from({ length: MEMBERS }, (_, index) => `@m${String(index).padStart(7, '0')}:${SERVER_NAME}`);
  const room = await world.createRoom(members);
  const { reader } = world;
  const unread = new UnreadCounts(new PushProfiles());
  const users = new Map(members.map((userId) => [userId, new PushProfiles().of(reader, userId)]));
  const audience = new Audiences(reader, () => users).of(room);
  const judge = (event: Event): number => {
    const startedMs = cpuMs();
    const facts = unread.factsOf(event, room);
    const history = unread.historyOf(room);
    let notified = 0;
    for (const [userId, listener] of audience) {
      const outcome = users.get(userId)?.rules.outcomeOf(facts, {
        memberCount: () => history.memberCount(reader, event.stateVersion),
        senderMayNotify: (key) => history.mayNotify(reader, event.stateVersion, event.sender, key),
        displayName: () => nameOf(reader, listener),
        isSubscribedTo: (threadRoot) => isSubscribed(reader, userId, room.roomId, threadRoot),
      });
      notified += Number(outcome !== undefined && outcome.weight > 0);
    }
    if (notified !== members.length) throw new Error(`${notified} were notified`);
    return cpuMs() - startedMs;
  };
  const cold = judge(await world.say(room));
  const legacy: number[] = [];
  const modern: number[] = [];
  const parses: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    legacy.push(judge(await world.say(room)));
    const event = await world.say(room, { 'm.mentions': {} });
    modern.push(judge(event));
    const startedMs = cpuMs();
    for (let count = 0; count < MEMBERS; count += 1) JSON.parse(event.contentJson);
    parses.push(cpuMs() - startedMs);
  }
  const handedOver = await sendToMembers(world, room, members);
  const ceiling = median(parses);
  return [
    {
      name: `push rules, one message for ${MEMBERS} members`,
      figure: round(median(modern)),
      unit: 'ms',
      ceiling: round(ceiling),
      ceilingName: 'parsing the message as often',
      ratio: median(modern) / ceiling,
      details: {
        'without m.mentions, ms': round(median(legacy)),
        'first message, ms': round(cold),
        'to all gateways with counts, off the way of sending, ms': round(handedOver),
      },
    },
  ];
}

/** From a message to the last of its notifications, everybody having a pusher, with a gateway that takes them at once. */
async function sendToMembers(world: World, room: Room, members: readonly string[]): Promise<number> {
  await inTurns(members, (userId) =>
    world.log.append(`user-${userId.slice(1, 9)}`, NO_STREAM, [
      pusherRecord(randomBytes(16), {
        userId,
        deviceId: undefined,
        pusher: {
          app_id: 'bench',
          pushkey: userId,
          kind: 'http',
          app_display_name: 'Bench',
          device_display_name: 'Bench',
          lang: 'en',
          data: { url: 'https://push.invalid/_matrix/push/v1/notify' },
        },
      }),
    ]),
  );
  let left = 0;
  let done: () => void = () => undefined;
  const profiles = new PushProfiles();
  const sender = new PushSender({
    reader: world.reader,
    onAdvance: (listener) => world.engine.onAdvance(listener),
    commands: new StreamCommands({ log: world.log, caughtUp: () => Promise.resolve() }),
    newRecordId: () => randomBytes(16),
    profiles,
    unread: new UnreadCounts(profiles),
    gateway: {
      notify: async () => {
        left -= 1;
        if (left === 0) done();
        return { rejected: [] };
      },
    },
    logger: silentLog(),
    clock: Date.now,
  });
  sender.start();
  await sender.caughtUp();
  const times: number[] = [];
  for (let count = 0; count < 4; count += 1) {
    const { promise, resolve } = Promise.withResolvers<void>();
    left = members.length;
    done = resolve;
    const startedMs = cpuMs();
    await world.say(room, { 'm.mentions': {} });
    await promise;
    // The first message finds nothing remembered.
    if (count > 0) times.push(cpuMs() - startedMs);
  }
  await sender.stop();
  return median(times);
}

async function countUnread(): Promise<BenchResult> {
  await using world = await World.open();
  const rooms: Room[] = [];
  for (let made = 0; made < ROOMS; made += 1) rooms.push(await world.createRoom([READER]));
  const messages = rooms.flatMap((room) => Array.from({ length: UNREAD_PER_ROOM }, () => room));
  await inTurns(messages, (room) => world.say(room));
  const count = async (unread: UnreadCounts): Promise<number> => {
    const startedMs = cpuMs();
    let found = 0;
    for (const room of rooms) found += (await unread.of(world.reader, room, READER, sharedPacer)).total.notifications;
    if (found !== messages.length) throw new Error(`${found} were unread`);
    return cpuMs() - startedMs;
  };
  const colds: number[] = [];
  const warms: number[] = [];
  for (let repeat = 0; repeat < 3; repeat += 1) {
    const unread = new UnreadCounts(new PushProfiles());
    colds.push(await count(unread));
    warms.push(await count(unread));
  }
  const reads: number[] = [];
  for (let repeat = 0; repeat < 3; repeat += 1) {
    const startedMs = cpuMs();
    for (const room of rooms) readAll(world.reader, room);
    reads.push(cpuMs() - startedMs);
  }
  return {
    name: `unread counts after a restart, ${ROOMS} rooms with ${UNREAD_PER_ROOM} unread`,
    figure: round(median(colds)),
    unit: 'ms',
    ceiling: round(median(reads)),
    ceilingName: 'reading the same events',
    ratio: median(colds) / median(reads),
    details: { 'afterwards, ms': round(median(warms)) },
  };
}

function readAll(reader: Reader, room: Room): void {
  let bytes = 0;
  for (const { value } of reader.range(timeline, { prefix: [room.id] })) {
    bytes += eventAt(reader, value)?.contentJson.length ?? 0;
  }
  if (bytes === 0) throw new Error('nothing was read');
}

async function inTurns<T>(all: readonly T[], work: (one: T) => Promise<unknown>): Promise<void> {
  for (let begin = 0; begin < all.length; begin += SENT_AT_ONCE) {
    await Promise.all(all.slice(begin, begin + SENT_AT_ONCE).map(work));
  }
}

/** Milliseconds that this process has computed: what it costs, whatever else the machine is busy with. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
