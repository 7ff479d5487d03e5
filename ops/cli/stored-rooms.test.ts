/** `stele rooms state`, `explain` and `graph`: as processes beside a server that has the data folder open, and without one. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { Audit } from '#src/audit/audit.ts';
import { StreamCommands } from '#src/commands/stream-command.ts';
import { dataPaths } from '#src/data-paths.ts';
import { silentLog } from '#src/log/logger.ts';
import { openOperatorSocket } from '#src/operator/operator-socket.ts';
import { recordRead } from '#src/operator/record-read.ts';
import { newRecordId } from '#src/record-ids.ts';
import {
  ANN,
  allKeys,
  BOB,
  ForeignRoom,
  keyOfServer,
  LOCAL,
  missingEventsOf,
} from '#src/rooms/receive/foreign-room.test-support.ts';
import { Receiver } from '#src/rooms/receive/receiver.ts';
import { Rooms } from '#src/rooms/rooms.ts';
import { openLog } from '#streams/open-log.ts';
import { runCommandLine } from './run-command-line.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
/** When the first event is recorded; each further look at the clock is a second later. */
const START_MS = 1_700_000_000_000;
const STEP_MS = 1_000;
/** What is said where content is shown. */
const GROUNDS = ['--reason', 'complaint', '--case', 'C-1'];
/** Text that no form may take as it is. */
const AWKWARD = 'a"b\\n<c>&\u0001\u202e\n]]>';

let folder: string;
let configFile: string;
let stop: () => Promise<void>;
let story: Awaited<ReturnType<typeof tell>>;
/** What was answered while the server had the data folder open. */
let answeredBeside: Answer[];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-stored-rooms-'));
  configFile = path.join(folder, 'stele.yaml');
  const dataDir = path.join(folder, 'data');
  await writeFile(configFile, JSON.stringify({ server_name: 'localhost', data_dir: dataDir }));
  const paths = dataPaths(dataDir);
  let now = START_MS;
  const clock = () => {
    now += STEP_MS;
    return now;
  };
  const log = await openLog({ folder: paths.log, now: clock });
  const engine = await ProjectionEngine.open({
    dir: paths.projections,
    log,
    projections: coreProjections,
    safeCopies: false,
  });
  let isStopped = false;
  stop = async () => {
    if (isStopped) return;
    isStopped = true;
    await engine.close();
    await log.close();
  };
  story = await tell(engine, log, clock);
  // What a command that reads beside a server asks it for: to put that on record.
  const commands = new StreamCommands({ log, caughtUp: () => engine.waitFor(log.head()) });
  const socket = await openOperatorSocket({
    dataDir,
    endpoints: [recordRead],
    context: { audit: new Audit({ commands, newRecordId }) },
    log: silentLog(),
  });
  answeredBeside = await Promise.all(someQuestions().map((args) => beside('rooms', ...args)));
  await socket.close();
  await stop();
});

afterAll(async () => {
  await stop();
  await rm(folder, { recursive: true, force: true });
});

/** What happens in a room of another server that somebody here has joined. */
async function tell(engine: ProjectionEngine, log: Awaited<ReturnType<typeof openLog>>, clock: () => number) {
  const foreign = new ForeignRoom('12');
  const { reader } = engine;
  const rooms = new Rooms({
    log,
    reader,
    serverName: 'localhost',
    signingKey: keyOfServer('localhost'),
    clock,
    newRecordId: () => randomBytes(16),
    newStreamId: () => randomBytes(15).toString('base64url'),
    newEventLocalpart: () => randomBytes(18).toString('base64url'),
  });
  const receiver = new Receiver({ reader, rooms, clock, keys: allKeys, missing: missingEventsOf(foreign) });
  const join = foreign.add({ sender: LOCAL, type: 'm.room.member', stateKey: LOCAL, content: { membership: 'join' } });
  await receiver.receiveOutliers(foreign.room, 'a.org', foreign.withAuthChain(join.before.values()));
  const isOurs = (userId: string): boolean => userId === LOCAL;
  await receiver.receiveEntry(foreign.room, 'a.org', join.pdu, join.before.values(), isOurs);
  const receive = async (spec: Parameters<ForeignRoom['add']>[0]) => {
    const event = foreign.add(spec);
    const verdict = await receiver.receive(foreign.room, 'a.org', event.pdu);
    return { ...event, verdict };
  };
  const topic = await receive({ sender: ANN, type: 'm.room.topic', stateKey: '', content: { topic: 'first' } });
  const afterTopicMs = clock();
  const base = foreign.last;
  const ban = await receive({
    sender: ANN,
    type: 'm.room.member',
    stateKey: BOB,
    content: { membership: 'ban' },
    prev: [base],
  });
  const evasion = await receive({ sender: BOB, type: 'm.room.message', content: { body: 'still here' }, prev: [base] });
  const seize = await receive({
    sender: BOB,
    type: 'm.room.power_levels',
    stateKey: '',
    content: { users: { [BOB]: 100 } },
    prev: [base],
  });
  const awkward = await receive({ sender: ANN, type: `org.${AWKWARD}`, stateKey: AWKWARD });
  expect([topic, ban, evasion, seize, awkward].map(({ verdict }) => verdict.kind)).toEqual([
    'accept',
    'accept',
    'soft_fail',
    'reject',
    'accept',
  ]);
  // Known to authorise others before it has its place.
  const late = foreign.add({ sender: ANN, type: 'm.room.name', stateKey: '', content: { name: 'late' } });
  await receiver.receiveOutliers(foreign.room, 'a.org', [late.pdu]);
  expect((await receiver.receive(foreign.room, 'a.org', late.pdu)).kind).toBe('accept');
  return { foreign, roomId: foreign.roomId, late, join, topic, ban, evasion, seize, awkward, afterTopicMs };
}

interface Answer {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** In this process, once nobody has the data folder open. */
async function stele(...args: string[]): Promise<Answer> {
  let [out, err] = ['', ''];
  const status = await runCommandLine(['rooms', ...args, '--config', configFile], {
    print: (line) => {
      out += `${line}\n`;
    },
    say: (line) => {
      err += `${line}\n`;
    },
    signal: new AbortController().signal,
    environment: {},
    workingDir: folder,
  });
  return { status, out, err };
}

/** In a process of its own. */
async function beside(...args: string[]): Promise<Answer> {
  const child = spawn(process.execPath, [MAIN, ...args, '--config', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const [status] = await once(child, 'close');
  return { status, out, err };
}

function someQuestions(): string[][] {
  return [
    ['state', story.roomId, '--at', story.evasion.eventId],
    ['explain', story.seize.eventId],
    ['graph', story.roomId, '--format', 'graphml'],
  ];
}

async function stateOf(...args: string[]): Promise<Map<string, string>> {
  const { status, out, err } = await stele('state', story.roomId, '--json', ...GROUNDS, ...args);
  expect([status, err]).toEqual([0, '']);
  const entries = JSON.parse(out) as { type: string; state_key: string; event_id: string }[];
  return new Map(entries.map(({ type, state_key, event_id }) => [JSON.stringify([type, state_key]), event_id]));
}

function sorted(state: ReadonlyMap<string, string>): [string, string][] {
  return [...state].sort(([a], [b]) => (a < b ? -1 : 1));
}

describe('rooms state', () => {
  test('is the present one', async () => {
    expect(sorted(await stateOf())).toEqual(sorted(story.late.after));
    const { status, out, err } = await stele('state', story.roomId);
    expect(status).toBe(0);
    expect(err).toBe(`${story.late.after.size} keys.\n`);
    expect(out.trimEnd().split('\n')).toHaveLength(story.late.after.size);
    expect(out).toContain(`m.room.topic ""  ${story.topic.eventId}  ${ANN}\n`);
    for (const character of ['\u0001', '\u202e']) expect(out).not.toContain(character);
  });

  test('is that after or before any event with a place in the graph', async () => {
    for (const event of [story.topic, story.ban, story.evasion]) {
      expect(sorted(await stateOf('--at', event.eventId))).toEqual(sorted(event.after));
      expect(sorted(await stateOf('--at', event.eventId, '--before'))).toEqual(sorted(event.before));
    }
  });

  test('is the one that was shown at a time', async () => {
    expect(sorted(await stateOf('--at-time', `${story.afterTopicMs}`))).toEqual(sorted(story.topic.after));
    const iso = new Date(story.afterTopicMs).toISOString();
    expect(sorted(await stateOf('--at-time', iso))).toEqual(sorted(story.topic.after));
    const early = await stele('state', story.roomId, '--at-time', '2001-01-01');
    expect([early.status, early.out]).toEqual([1, '']);
    expect(early.err).toContain('was not on this server at 2001-01-01T00:00:00.000Z.');
  });

  test('is the one after a record of the log, and of one type where only that is asked for', async () => {
    const all = await stateOf('--at-position', String(Number.MAX_SAFE_INTEGER));
    expect(sorted(all)).toEqual(sorted(await stateOf()));
    const members = await stateOf('--type', 'm.room.member');
    expect(sorted(members)).toEqual(
      sorted(new Map([...all].filter(([key]) => JSON.parse(key)[0] === 'm.room.member'))),
    );
    expect(members.size).toBeGreaterThan(1);
    const none = await stele('state', story.roomId, '--at-position', '0');
    expect([none.status, none.err]).toEqual([1, expect.stringContaining('was not on this server after record 0')]);
  });

  test('what is not there, or makes no sense, is told', async () => {
    for (const [args, status, message] of [
      [['!none:a.org'], 1, 'There is no room !none:a.org on this server.'],
      [['#none:localhost'], 1, 'There is no room #none:localhost on this server.'],
      [[story.roomId, '--at', '$none'], 1, 'There is no event $none in'],
      [[story.roomId, '--at', '$x', '--at-time', '5'], 2, 'are different moments'],
      [[story.roomId, '--at-position', 'x'], 2, 'x is no position'],
      [[story.roomId, '--at-time', 'tomorrow'], 2, 'tomorrow is no time'],
      [[story.roomId, '--before'], 2, '--before goes with --at EVENT'],
    ] as const) {
      const answer = await stele('state', ...args);
      expect([answer.status, answer.out]).toEqual([status, '']);
      expect(answer.err).toContain(message);
      expect(answer.err).not.toMatch(/^\s+at /m);
    }
  });
});

describe('rooms audience', () => {
  const audience = async (eventId: string) => {
    const { status, out } = await stele('audience', eventId, '--json');
    expect(status).toBe(0);
    return JSON.parse(out) as { users: { user_id: string; membership: string; since: unknown }[] };
  };

  test('is those who were in the room when it was sent; not who was banned by then', async () => {
    const before = await audience(story.topic.eventId);
    expect(before.users.map(({ user_id, since }) => [user_id, since])).toEqual(
      expect.arrayContaining([
        [ANN, 'sent'],
        [BOB, 'sent'],
        [LOCAL, 'sent'],
      ]),
    );
    const after = await audience(story.awkward.eventId);
    expect(after.users.map(({ user_id }) => user_id)).not.toContain(BOB);
  });

  test('by a moment, and not before there was the event', async () => {
    const asOf = (moment: string) => stele('audience', story.topic.eventId, '--json', '--as-of', moment);
    expect((await asOf(story.topic.eventId)).status).toBe(0);
    expect((await asOf(story.join.eventId)).status).toBe(1);
    expect((await asOf('teatime')).status).toBe(2);
  });

  test('in words; and what nobody was shown has none', async () => {
    const { out, err } = await stele('audience', story.topic.eventId);
    expect(out).toContain(`${ANN}  join  when it was sent\n`);
    expect(err).toContain('where the history is shared');
    const hidden = await stele('audience', story.evasion.eventId);
    expect([hidden.status, hidden.err]).toEqual([1, expect.stringContaining('were ever shown')]);
  });
});

describe('rooms timeline', () => {
  test('has what was shown, up to an event or a time; for a reason only', async () => {
    const timeline = async (...args: string[]) => {
      const { status, out } = await stele('timeline', story.roomId, '--json', ...GROUNDS, ...args);
      expect(status).toBe(0);
      return out
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { event_id: string }).event_id);
    };
    const all = await timeline();
    expect(all.at(-1)).toBe(story.late.eventId);
    expect(all).not.toContain(story.evasion.eventId);
    expect((await timeline('--as-of', story.topic.eventId)).at(-1)).toBe(story.topic.eventId);
    expect((await timeline('--as-of', String(story.afterTopicMs))).at(-1)).toBe(story.topic.eventId);
    expect(await timeline('--limit', '1')).toEqual([story.late.eventId]);
    const words = await stele('timeline', story.roomId, ...GROUNDS);
    expect(words.out).toContain('m.room.topic "" ');
    expect(words.out).not.toContain('\u202e');
    for (const args of [[], ['--reason', 'x'], [...GROUNDS, '--limit', '0'], [...GROUNDS, '--as-of', 'teatime']]) {
      expect([args, (await stele('timeline', story.roomId, ...args)).status]).toEqual([args, 2]);
    }
  });
});

describe('rooms explain', () => {
  const explain = async (eventId: string) => {
    const { status, out, err } = await stele('explain', eventId, '--json', ...GROUNDS);
    expect([status, err]).toEqual([0, '']);
    return JSON.parse(out);
  };

  test('an accepted event', async () => {
    const found = await explain(story.ban.eventId);
    expect(found).toMatchObject({
      event_id: story.ban.eventId,
      room_id: story.roomId,
      room_version: '12',
      type: 'm.room.member',
      state_key: BOB,
      sender: ANN,
      disposition: 'accepted',
      reason: null,
      recorded_as: null,
      prev_events: [{ event_id: story.topic.eventId, disposition: 'accepted', type: 'm.room.topic', state_key: '' }],
    });
    expect(found.auth_events.map(({ type }: { type: string }) => type)).toContain('m.room.create');
    expect(found.rules).toHaveLength(4);
    expect(found.rules.every(({ allowed }: { allowed: boolean }) => allowed)).toBe(true);
    expect(found.state_before).toHaveLength(story.ban.before.size);
    expect(found.state_after.find((event: { state_key: string }) => event.state_key === BOB).event_id).toBe(
      story.ban.eventId,
    );
    const { out } = await stele('explain', story.ban.eventId);
    expect(out).toMatch(new RegExp(`^\\${story.ban.eventId}: accepted\n`));
    expect(out).toContain('  the state before it: allowed\n');
    expect(out).toContain(
      `State after it: ${story.ban.after.size} keys; new is\n  m.room.member "${BOB}"  ${story.ban.eventId}`,
    );
  });

  test('a soft-failed one: right where it stands, wrong when it came', async () => {
    const found = await explain(story.evasion.eventId);
    expect(found).toMatchObject({ disposition: 'soft_failed', reason: expect.stringContaining(BOB) });
    expect(
      found.rules.map(({ against, allowed }: { against: string; allowed: boolean }) => [against, allowed]),
    ).toEqual([
      ['auth_event_selection', true],
      ['auth_events', true],
      ['state_before', true],
      ['state_when_it_came', false],
    ]);
    const { out } = await stele('explain', story.evasion.eventId);
    expect(out).toContain("  the room's state when it came: refused by rule 6: ");
    expect(out).toContain('State after it: the same\n');
  });

  test('a rejected one, with the rule', async () => {
    const found = await explain(story.seize.eventId);
    expect(found.disposition).toBe('rejected');
    expect(found.rules.find(({ against }: { against: string }) => against === 'auth_events')).toMatchObject({
      allowed: false,
      rule: expect.stringMatching(/^8|^10/),
    });
    const { out } = await stele('explain', story.seize.eventId);
    expect(out).toMatch(/: rejected, because /);
  });

  test('an outlier has no state', async () => {
    const outlier = [...story.join.before.values()][0] as string;
    const found = await explain(outlier);
    expect([found.disposition, found.state_before]).toEqual(['outlier', null]);
    expect((await stele('explain', outlier)).out).toContain('It has no place in the graph of the room');
    const around = await stele('state', story.roomId, '--at', outlier);
    expect([around.status, around.err.includes('is known as outlier, without its place')]).toEqual([1, true]);
  });

  test('one that nobody knows is told', async () => {
    const { status, err } = await stele('explain', '$none');
    expect([status, err]).toEqual([1, 'stele: There is no event $none on this server.\n']);
  });
});

describe('rooms graph', () => {
  test('as NDJSON: every event once, with what it names', async () => {
    const { status, out } = await stele('graph', story.roomId, '--json');
    expect(status).toBe(0);
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.map(({ event_id }) => event_id).sort()).toEqual([...story.foreign.events.keys()].sort());
    const dispositions = new Map(events.map(({ event_id, disposition }) => [event_id, disposition]));
    expect([story.ban, story.evasion, story.seize].map(({ eventId }) => dispositions.get(eventId))).toEqual([
      'accepted',
      'soft_failed',
      'rejected',
    ]);
    expect(events.find(({ event_id }) => event_id === story.evasion.eventId).prev_events).toEqual([
      story.topic.eventId,
    ]);
    expect((await stele('graph', story.roomId, '--format', 'ndjson')).out).toBe(out);
  });

  test('as dot: quoted whatever it holds', async () => {
    const { status, out } = await stele('graph', story.roomId);
    expect(status).toBe(0);
    const lines = out.trimEnd().split('\n');
    expect([lines[0], lines.at(-1)]).toEqual([`digraph "${story.roomId}" {`, '}']);
    expect(out).toContain(`  "${story.evasion.eventId}" -> "${story.topic.eventId}";`);
    expect(out).toMatch(new RegExp(`"\\${story.seize.eventId}" \\[label=.*fillcolor=salmon\\];`));
    // Quotes come in pairs on each line once escapes are taken off.
    for (const line of lines) expect((line.replaceAll(/\\./g, '').match(/"/g) ?? []).length % 2).toBe(0);
    expect(out).not.toContain('\u0001');
  });

  test('as GraphML: well-formed whatever it holds', async () => {
    const { status, out } = await stele('graph', story.roomId, '--format', 'graphml');
    expect(status).toBe(0);
    expect(out).toMatch(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n<graphml /);
    const nodes = [...out.matchAll(/<node id="([^"]*)">/g)].map(([, id]) => id);
    expect(new Set(nodes).size).toBe(nodes.length);
    for (const [, source, target] of out.matchAll(/<edge source="([^"]*)" target="([^"]*)">/g)) {
      expect(nodes).toContain(source);
      expect(nodes).toContain(target);
    }
    expect(out).toContain('a&quot;b\\n&lt;c&gt;&amp;\uFFFD\u202e\uFFFD]]&gt;');
    // No tag is left once the known ones are taken off.
    expect(
      out.replaceAll(/<[/?]?(?:xml|graphml|graph|key|node|edge|data)(?: [a-z.]+="[^"<]*"| xmlns="[^"]*")*[/?]?>/g, ''),
    ).not.toMatch(/[<>]/);
  });

  test('in a form that nobody knows is refused', async () => {
    const { status, err } = await stele('graph', story.roomId, '--format', 'png');
    expect([status, err.split('\n')[0]]).toEqual([2, 'stele: --format takes dot, graphml, ndjson, not png']);
    expect((await stele('graph', story.roomId, '--format', 'dot', '--json')).status).toBe(2);
  });
});

test('it is the same beside a running server and without one', async () => {
  const answers: Answer[] = [];
  for (const args of someQuestions()) answers.push(await stele(...args));
  expect(answeredBeside.map(({ status }) => status)).toEqual([0, 0, 0]);
  expect(answers).toEqual(answeredBeside);
});

test('with forks, rejections and promotions, a replay of the log gives the same tables to the byte', async () => {
  expect((await stateOf()).get(JSON.stringify(['m.room.name', '']))).toBe(story.late.eventId);
  const { status, out } = await beside('replay', '--check', '--json');
  const { ok, tables } = JSON.parse(out) as { ok: boolean; tables: { table: string; differences: number }[] };
  expect([status, ok, tables.filter(({ differences }) => differences > 0)]).toEqual([0, true, []]);
  expect(tables.map(({ table }) => table)).toEqual(expect.arrayContaining(['rooms.events', 'rooms.withheld']));
});

test('without projections it says how to get them', async () => {
  await rm(dataPaths(path.join(folder, 'data')).projections, { recursive: true });
  const { status, err } = await stele('state', story.roomId);
  expect([status, err.includes("build them with 'stele replay'")]).toEqual([1, true]);
});
