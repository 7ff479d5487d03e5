/** `stele rooms resolve` and `stele rooms check-auth`, which need files and nothing else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventIdOf } from '#protocol/hashing.ts';
import type { JsonValue, Pdu } from '#protocol/pdu.ts';
import { ANN, RoomFile, rulesOf } from '../rooms/room.test-support.ts';
import { runCommandLine } from './run-command-line.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-rooms-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function file(name: string, content: JsonValue | string): Promise<string> {
  const where = path.join(folder, name);
  await writeFile(where, typeof content === 'string' ? content : JSON.stringify(content));
  return where;
}

async function stele(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const status = await runCommandLine(args, {
    print: (line) => out.push(line),
    say: (line) => err.push(line),
    signal: new AbortController().signal,
    environment: {},
    workingDir: folder,
  });
  return { status, out: out.join('\n'), err: err.join('\n') };
}

/** Two forks: Bob joins and sets the topic; Ann bans him. */
function forkedRoom(version = '11'): RoomFile {
  const room = new RoomFile(version);
  room.add({
    id: '$bob',
    type: 'm.room.member',
    stateKey: '@bob:b.org',
    sender: '@bob:b.org',
    content: { membership: 'join' },
    prev: ['$rules'],
    auth: ['$levels', '$rules'],
  });
  const users = version === '12' ? {} : { [ANN]: 100 };
  room.add({
    id: '$open',
    type: 'm.room.power_levels',
    content: { users, state_default: 0 },
    prev: ['$bob'],
    auth: ['$ann', '$levels'],
  });
  room.add({ id: '$topic', content: { topic: 'x' }, sender: '@bob:b.org', prev: ['$open'], auth: ['$open', '$bob'] });
  room.add({
    id: '$ban',
    type: 'm.room.member',
    stateKey: '@bob:b.org',
    content: { membership: 'ban' },
    prev: ['$open'],
    auth: ['$ann', '$open', '$bob'],
  });
  return room;
}

const RESOLVED = [
  { type: 'm.room.create', state_key: '', event_id: '$create' },
  { type: 'm.room.join_rules', state_key: '', event_id: '$rules' },
  { type: 'm.room.member', state_key: ANN, event_id: '$ann' },
  { type: 'm.room.member', state_key: '@bob:b.org', event_id: '$ban' },
  { type: 'm.room.power_levels', state_key: '', event_id: '$open' },
];

describe('as a process, in an empty folder', () => {
  const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

  async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
    const child = spawn(process.execPath, [MAIN, 'rooms', ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
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

  test('data on standard output, and nothing else anywhere', async () => {
    await file('room.json', forkedRoom().pdus);
    const resolved = await run('resolve', '--room-version', '11', '--pdus', 'room.json');
    // The ban is a power event and comes first, so that the topic of who is banned is not let in after it.
    expect({ ...resolved, out: JSON.parse(resolved.out) }).toEqual({ status: 0, out: RESOLVED, err: '' });
    const checked = await run('check-auth', '--room-version', '11', '--pdus', 'room.json');
    expect([checked.status, checked.err]).toEqual([0, '']);
    expect(JSON.parse(checked.out)).toContainEqual({ event_id: '$ban', allowed: true, rule: null, reason: null });
  });

  test('wrong input is one sentence and status 2', async () => {
    await file('circle.json', [
      ...forkedRoom().pdus,
      { ...forkedRoom().pdus.at(-1), event_id: '$x', prev_events: ['$x'] },
    ] as JsonValue);
    const { status, out, err } = await run('resolve', '--room-version', '11', '--pdus', 'circle.json');
    expect([status, out]).toEqual([2, '']);
    expect(err.trim()).toMatch(
      /^stele: The prev_events and auth_events of an event name the event itself: \$x → \$x\./,
    );
    expect(err).not.toMatch(/^\s+at /m);
  });
});

describe('the files', () => {
  test('come one after the other or each with its option, in any order, twice or once', async () => {
    const { pdus } = forkedRoom();
    const [a, b, c] = [
      await file('a.json', pdus.slice(0, 3)),
      await file('b.json', pdus.slice(2, 6)),
      await file('c.json', pdus.slice(6)),
    ];
    for (const words of [
      ['--pdus', a, b, c],
      ['--pdus', c, '--pdus', b, a],
      [`--pdus=${b}`, a, '--pdus', c, '--trace'],
    ]) {
      const { status, out } = await stele('rooms', 'resolve', '--room-version', '11', ...words);
      expect([status, JSON.parse(out)]).toEqual([0, RESOLVED]);
    }
  });

  test('ids that PDUs carry are taken whatever they look like; others are computed', async () => {
    const rules = rulesOf('4');
    const create = {
      type: 'm.room.create',
      state_key: '',
      sender: ANN,
      content: { creator: ANN, n: 1e2 },
      room_id: '!r:a.org',
      prev_events: [],
      auth_events: [],
      origin_server_ts: 1,
      depth: 1,
    };
    const id = eventIdOf(create as unknown as Pdu, rules);
    const join = {
      ...create,
      type: 'm.room.member',
      state_key: ANN,
      content: { membership: 'join' },
      prev_events: [id],
      auth_events: [id],
      event_id: 'x y\u0000é',
    };
    const name = await file('ids.json', [join, create]);
    const { out } = await stele('rooms', 'check-auth', '--room-version', '4', '--pdus', name);
    expect(
      JSON.parse(out).map(({ event_id, allowed }: { event_id: string; allowed: boolean }) => [event_id, allowed]),
    ).toEqual([
      [id, true],
      ['x y\u0000é', true],
    ]);
  });

  test('numbers are hashed as they are written', async () => {
    const pdu = (level: string) =>
      `[{"type":"m.room.power_levels","state_key":"","sender":"@a:a.org","content":{"ban":${level}},"room_id":"!r:a.org","prev_events":[],"auth_events":[],"origin_server_ts":1,"depth":1}]`;
    const idOf = async (version: string, level: string) => {
      const { out } = await stele(
        'rooms',
        'check-auth',
        '--room-version',
        version,
        '--pdus',
        await file('n.json', pdu(level)),
      );
      return JSON.parse(out)[0].event_id;
    };
    expect(await idOf('5', '50.0')).not.toBe(await idOf('5', '50'));
    expect(await idOf('5', '5e1')).toBe(await idOf('5', '50.0'));
    expect(await idOf('10', '50.0')).not.toBe(await idOf('10', '50'));
  });

  test.each<[what: string, content: JsonValue | string, message: RegExp]>([
    ['no JSON', '[{"a":', /bad\.json: /],
    ['no array', {}, /bad\.json: The file does not hold a JSON array\.$/],
    [
      'nested 10,000 levels deep',
      `[{"content":${'['.repeat(10_000)}${']'.repeat(10_000)}}]`,
      /bad\.json: The JSON is nested more than 1000 levels deep\.$/,
    ],
    ['an entry that is no object', [[]], /bad\.json\[0\]: This is not a PDU/],
    ['no type', [{ sender: ANN, content: {} }], /bad\.json\[0\]: The PDU has no type\.$/],
    [
      'a state key that is no text',
      [{ type: 'x', sender: ANN, content: {}, state_key: null }],
      /bad\.json\[0\]: The PDU has no state_key that is a string\.$/,
    ],
    [
      'an event as clients see it',
      [{ type: 'x', sender: ANN, content: {}, event_id: '$x' }],
      /bad\.json\[0\]: The PDU has no array prev_events\. Events in the form that clients see/,
    ],
    [
      'a reference that is none',
      [{ type: 'x', sender: ANN, content: {}, prev_events: ['$a', 5], auth_events: [] }],
      /bad\.json\[0\]: prev_events\[1\] of the PDU is not an event id\.$/,
    ],
    [
      'no room',
      [{ type: 'x', sender: ANN, content: {}, prev_events: [], auth_events: [], event_id: '$x' }],
      /bad\.json\[0\]: The PDU has no room_id\.$/,
    ],
    [
      'half a character',
      '[{"type":"\\ud800","sender":"","content":{},"prev_events":[],"auth_events":[]}]',
      /bad\.json\[0\]: The PDU has no event_id, and none can be computed/,
    ],
    [
      'two events with one id',
      [...forkedRoom().pdus, { ...forkedRoom().pdus[1], sender: '@eve:e.org' }] as JsonValue,
      /bad\.json\[8\]: Another event has the same id \$ann: see .*bad\.json\[1\]\.$/,
    ],
  ])('with %s are refused by name', async (_what, content, message) => {
    const name = await file('bad.json', content);
    for (const verb of ['resolve', 'check-auth']) {
      const { status, out, err } = await stele('rooms', verb, '--room-version', '11', '--pdus', name);
      expect([status, out]).toEqual([2, '']);
      expect(err).toMatch(message);
    }
  });

  test('that are not there are named', async () => {
    const { status, err } = await stele(
      'rooms',
      'resolve',
      '--room-version',
      '11',
      '--pdus',
      path.join(folder, 'none.json'),
    );
    expect([status, err.includes('none.json: ENOENT')]).toEqual([2, true]);
  });

  test('an event without an id where servers choose ids is told', async () => {
    const [first] = forkedRoom('2').pdus;
    const name = await file('noid.json', [{ ...first, event_id: undefined }] as unknown as JsonValue);
    const { status, err } = await stele('rooms', 'check-auth', '--room-version', '2', '--pdus', name);
    expect([status, err]).toEqual([
      2,
      `stele: ${name}[0]: The PDU has no event_id. In room version 2 every PDU carries one.`,
    ]);
  });
});

describe('states that are given', () => {
  test.each(['1', '2', '6', '11', '12'])('are resolved with each other in room version %s', async (version) => {
    const room = await file('room.json', forkedRoom(version).pdus);
    const common = ['$create', '$ann', '$rules', '$open'];
    const [a, b] = [await file('a.json', [...common, '$bob', '$topic']), await file('b.json', [...common, '$ban'])];
    const args = ['rooms', 'resolve', '--room-version', version, '--pdus', room];
    const { status, out, err } = await stele(...args, '--state', a, b, '--trace');
    expect(status).toBe(0);
    const state = JSON.parse(out);
    expect(state.filter(({ type }: { type: string }) => type !== 'm.room.topic')).toEqual(RESOLVED);
    expect(err).toContain('m.room.member "@bob:b.org": $ban won.');
    expect(err).toContain('not $bob');
    expect((await stele(...args, '--state', b, '--state', a)).out).toBe(out);
    const traced = await stele(...args, '--state', a, b, '--trace', '--json');
    expect(traced.out).toBe(out);
    const trace = JSON.parse(traced.err);
    expect(trace.changes).toContainEqual(expect.objectContaining({ stateKey: '@bob:b.org', eventId: '$ban' }));
    expect(trace.steps.length).toBeGreaterThan(0);
  });

  test.each<[string[], RegExp]>([
    [['$create', '$gone'], /s\.json\[1\]: The event \$gone is not among the PDUs\.$/],
    [
      ['$create', '$bob', '$ban'],
      /s\.json\[2\]: A state has one event for a key, but \$bob and \$ban are both for m\.room\.member with the state key "@bob:b\.org"\.$/,
    ],
    [['$message'], /s\.json\[0\]: The event \$message is no state event\.$/],
    [
      ['$create', '$foreign'],
      /s\.json\[1\]: The event \$foreign is in !other:a\.org, those before it are in !create:a\.org\.$/,
    ],
    [[5 as unknown as string], /s\.json\[0\]: This is not an event id/],
  ])('with %j make no sense', async (ids, message) => {
    const room = forkedRoom();
    room.add({ id: '$message', type: 'm.room.message', stateKey: null });
    room.pdus.push({ ...room.pdus[1], event_id: '$foreign', room_id: '!other:a.org' });
    const good = await file('good.json', ['$create']);
    const { status, out, err } = await stele(
      'rooms',
      'resolve',
      '--room-version',
      '11',
      '--pdus',
      await file('room.json', room.pdus),
      '--state',
      good,
      await file('s.json', ids),
    );
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(message);
  });

  test('of 100,000 events each are read and resolved', async () => {
    const room = new RoomFile('10');
    for (let index = 0; index < 100_000; index += 1) room.join(`@u${index}:b.org`, ['$rules'], `$${index}`);
    const ids = room.pdus.map(({ event_id }) => event_id as string);
    const a = await file('a.json', ids.slice(0, -10));
    const b = await file('b.json', [...ids.slice(0, -20), ...ids.slice(-10)]);
    const { status, out } = await stele(
      'rooms',
      'resolve',
      '--room-version',
      '10',
      '--pdus',
      await file('big.json', room.pdus),
      '--state',
      a,
      b,
    );
    expect([status, JSON.parse(out).length]).toEqual([0, ids.length]);
  });
});

test('the state is sorted by code points, not by halves of them', async () => {
  const room = new RoomFile('11');
  for (const key of ['\uffff', '😀', 'a', ''])
    room.add({ id: `$${key}`, type: 'org.x', stateKey: key, prev: ['$rules'], auth: ['$ann', '$levels'] });
  const { out } = await stele('rooms', 'resolve', '--room-version', '11', '--pdus', await file('keys.json', room.pdus));
  const keys = JSON.parse(out)
    .filter(({ type }: { type: string }) => type === 'org.x')
    .map((entry: { state_key: string }) => entry.state_key);
  expect(keys).toEqual(['', 'a', '\uffff', '😀']);
});

test('no events make no state', async () => {
  const name = await file('empty.json', []);
  expect((await stele('rooms', 'resolve', '--room-version', '12', '--pdus', name)).out).toBe('[]');
  expect((await stele('rooms', 'check-auth', '--room-version', '12', '--pdus', name)).out).toBe('[]');
});

test('rejected events and gaps are said', async () => {
  const room = new RoomFile('11');
  room.add({ id: '$bad', sender: '@eve:e.org', prev: ['$rules'], auth: ['$levels'] });
  room.topic('$late', ['$gone']);
  const { status, err } = await stele(
    'rooms',
    'resolve',
    '--room-version',
    '11',
    '--trace',
    '--pdus',
    await file('gaps.json', room.pdus),
  );
  expect(status).toBe(0);
  expect(err).toContain('Events that follow others which are not in the files: 1.');
  expect(err).toContain('Rejected: 1 of 6 events.');
  expect(err).toContain('Rejected $bad by rule 5, held against its auth events: @eve:e.org is not in the room.');
});

describe('wrong usage', () => {
  test.each<[string[], string]>([
    [['resolve', '--pdus', 'x'], '--room-version is needed'],
    [['resolve', '--room-version', '13', '--pdus', 'x'], 'room version 13 is not known; these are: 1, 2,'],
    [['check-auth', '--room-version', '11'], '--pdus is needed'],
    [['resolve', '--room-version', '11', '--pdus', 'x', '--state', 'y'], '--state is for two states or more'],
    [['resolve', '--room-version', '11', 'x'], 'rooms resolve does not know what to do with x'],
    [
      ['resolve', '--room-version', '11', '--pdus', 'x', '--trace', 'y'],
      'rooms resolve does not know what to do with y',
    ],
    [['resolve', '--room-version', '11', '--pdus'], "Option '--pdus <value>' argument missing"],
    [['reslove'], 'unknown verb rooms reslove; did you mean rooms resolve?'],
  ])('stele rooms %j', async (args, message) => {
    const { status, out, err } = await stele('rooms', ...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });
});
