/** Every command that shows what people wrote asks why and under which case, and leaves a record of it, beside a server and without. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServerFolder } from './server-folder.test-support.ts';

const GROUNDS = ['--reason', 'complaint', '--case', 'C-1'];
/** What says too little. */
const NO_GROUNDS = [[], GROUNDS.slice(0, 2), GROUNDS.slice(2), ['--reason', ' ', '--case', 'C-1']];

interface Said {
  readonly room: string;
  readonly eventId: string;
  readonly position: string;
}

interface Entry {
  readonly position: number;
  readonly action: string;
  readonly actor: { readonly kind: string };
  readonly reason?: string;
  readonly case_id?: string;
  readonly room_id?: string;
}

/** Each command with what it is to show, and the action that is on record of it. */
const COMMANDS: readonly (readonly [string, string, (said: Said) => string[]])[] = [
  ['rooms timeline', 'content.read', ({ room }) => ['rooms', 'timeline', room]],
  ['rooms timeline --json', 'content.read', ({ room }) => ['rooms', 'timeline', room, '--json']],
  ['rooms state --json', 'content.read', ({ room }) => ['rooms', 'state', room, '--json']],
  ['rooms explain --json', 'content.read', ({ eventId }) => ['rooms', 'explain', eventId, '--json']],
  ['proof of an event', 'content.read', ({ eventId }) => ['proof', eventId, '--with-content']],
  ['proof of a position', 'content.read', ({ position }) => ['proof', position, '--with-content']],
];

let server: ServerFolder;
let said: Said;

beforeAll(async () => {
  server = await ServerFolder.make();
  await server.start();
  const ann = await server.register('ann');
  const room = await server.makeRoom(ann);
  const eventId = await server.say(ann, room, 'meet me at noon');
  await server.published();
  const last = await server.steleJson('rooms', 'timeline', room, '--limit', '1', ...GROUNDS);
  expect(last['event_id']).toBe(eventId);
  said = { room, eventId, position: String(last['position']) };
});
afterAll(() => server.remove());

/** What is on record of the room. */
async function entries(): Promise<Entry[]> {
  const { status, out, err } = await server.stele('audit', '--room', said.room, '--json');
  expect([status, err]).toEqual([0, '']);
  return out.split('\n').map((line) => JSON.parse(line) as Entry);
}

async function isRefusedWithoutGrounds(...args: string[]): Promise<void> {
  const before = await entries();
  for (const some of NO_GROUNDS) {
    const { status, out, err } = await server.stele(...args, ...some);
    expect([some, status, out]).toEqual([some, 2, '']);
    expect(err).toMatch(/--reason and --case|--case, --reason/);
  }
  expect(await entries()).toEqual(before);
}

async function leavesARecord(action: string, ...args: string[]): Promise<void> {
  const before = await entries();
  const { status, out, err } = await server.stele(...args, ...GROUNDS);
  expect([status, out !== ''], err).toEqual([0, true]);
  expect((await entries()).slice(before.length)).toMatchObject([
    { action, actor: { kind: 'operator' }, reason: 'complaint', case_id: 'C-1', room_id: said.room },
  ]);
}

describe.each(['beside a server', 'without one'])('%s', (where) => {
  beforeAll(async () => {
    if (where === 'without one') await server.stop();
  });

  it.each(COMMANDS)('%s needs a reason and a case', (_name, _action, args) => isRefusedWithoutGrounds(...args(said)));

  it.each(COMMANDS)('%s is on record', (_name, action, args) => leavesARecord(action, ...args(said)));

  it('an export too', async () => {
    const args = ['export', 'case', '--room', said.room, '--out', server.path(where.replaceAll(' ', '-')), '--json'];
    await isRefusedWithoutGrounds(...args);
    await leavesARecord('export.make', ...args);
  });

  it('what shows no content needs neither', async () => {
    for (const args of [
      ['rooms', 'state', said.room],
      ['rooms', 'explain', said.eventId],
      ['rooms', 'graph', said.room],
      ['proof', said.eventId],
    ]) {
      const { status, out } = await server.stele(...args);
      expect([args, status]).toEqual([args, 0]);
      expect(out).not.toContain('noon');
    }
  });
});

it('where the configuration asks for no reason, it is on record without', async () => {
  await server.configure('data', 'audit: { content_reads: recorded }\n');
  const before = await entries();
  expect((await server.stele('proof', said.eventId, '--with-content')).status).toBe(0);
  const [entry, ...others] = (await entries()).slice(before.length);
  expect(entry).toMatchObject({ action: 'content.read', actor: { kind: 'operator' } });
  expect([entry?.reason, entry?.case_id, others]).toEqual([undefined, undefined, []]);
});
