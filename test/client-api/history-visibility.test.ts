/** Who sees an event, for each history visibility and each way of having been in the room, by every way of reading. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { slidingCall } from './sliding-sync-client.ts';
import { createRoom, sayIn } from './sync-client.ts';

const VISIBILITIES = ['world_readable', 'shared', 'invited', 'joined'] as const;
type Visibility = (typeof VISIBILITIES)[number];

/** Somebody, and what they see; the others see nothing but what the world may read. */
interface Persona {
  /** What they do before the event is sent, and after it. */
  readonly before?: (by: Story) => Promise<unknown>;
  readonly after?: (by: Story) => Promise<unknown>;
  readonly sees: readonly Visibility[];
}

interface Story {
  readonly room: string;
  readonly host: TestClient;
  readonly self: TestClient;
}

const join = ({ room, self }: Story) => self.ok('POST', `/rooms/${room}/join`, {});
const leave = ({ room, self }: Story) => self.ok('POST', `/rooms/${room}/leave`, {});
const byHost =
  (what: string) =>
  ({ room, host, self }: Story) =>
    host.ok('POST', `/rooms/${room}/${what}`, { user_id: self.userId });
const all =
  (...deeds: readonly ((by: Story) => Promise<unknown>)[]) =>
  async (by: Story) => {
    for (const deed of deeds) await deed(by);
  };

const PERSONAS: Readonly<Record<string, Persona>> = {
  'who was there': { before: join, sees: ['world_readable', 'shared', 'invited', 'joined'] },
  'who was there and left later': {
    before: join,
    after: leave,
    sees: ['world_readable', 'shared', 'invited', 'joined'],
  },
  'who was invited, and came later': {
    before: byHost('invite'),
    after: join,
    sees: ['world_readable', 'shared', 'invited'],
  },
  'who came later': { after: join, sees: ['world_readable', 'shared'] },
  'who had left, and came back': { before: all(join, leave), after: join, sees: ['world_readable', 'shared'] },
  'who came later and left': { after: all(join, leave), sees: ['world_readable', 'shared'] },
  'who had left': { before: all(join, leave), sees: [] },
  'who had been removed': { before: all(join, byHost('kick')), sees: [] },
  'who had been banned': { before: all(join, byHost('ban')), sees: [] },
  'who was invited later': { after: byHost('invite'), sees: [] },
  'who turned an invite down': { before: all(byHost('invite'), leave), sees: [] },
  'who has nothing to do with the room': { sees: [] },
};

let app: TestApplication;
let host: TestClient;

beforeEach(async () => {
  app = await startApplication();
  host = await app.register('host');
});

afterEach(() => app.close());

interface Said {
  readonly room: string;
  /** An event that all may see, the root of a thread. */
  readonly root: string;
  /** The event in question, in that thread. */
  readonly event: string;
  readonly sentAt: number;
}

/** Everything that can be read, by where, as text; what is refused has none. */
async function everyReading(by: TestClient, { room, root, event, sentAt }: Said): Promise<Record<string, string>> {
  const at = `/rooms/${room}`;
  const search = { search_categories: { room_events: { search_term: 'secret' } } };
  const lists = { all: { ranges: [[0, 99]], timeline_limit: 100, required_state: [['*', '*']] } };
  const subscription = { timeline_limit: 100, required_state: [['*', '*']] };
  const gets = {
    event: `${at}/event/${event}`,
    context: `${at}/context/${event}`,
    aroundRoot: `${at}/context/${root}?limit=100`,
    rootWithThread: `${at}/event/${root}`,
    backwards: `${at}/messages?dir=b&limit=100`,
    forwards: `${at}/messages?dir=f&limit=100`,
    relations: `/_matrix/client/v1${at}/relations/${root}`,
    threads: `/_matrix/client/v1${at}/threads`,
    byTime: `/_matrix/client/v1${at}/timestamp_to_event?dir=f&ts=${sentAt}`,
    sync: `/sync?filter=${encodeURIComponent('{"room":{"include_leave":true,"timeline":{"limit":100}}}')}`,
    initialSync: '/initialSync?limit=100&archived=true',
    roomInitialSync: `${at}/initialSync?limit=100`,
    byId: `/events/${event}`,
    stream: `/events?room_id=${room}&timeout=0&from=s0_0_x`,
    notifications: '/notifications',
  };
  const texts: Record<string, string> = {};
  for (const [name, path] of Object.entries(gets)) {
    const { status, body } = await by.call('GET', path);
    texts[name] = status === 200 ? JSON.stringify(body) : '';
  }
  texts['search'] = JSON.stringify(await by.ok('POST', '/search', search));
  const slid = await slidingCall(by, { lists, room_subscriptions: { [room]: subscription } });
  texts['slidingSync'] = JSON.stringify(slid.body);
  return texts;
}

/** Ways of reading that show a room to its members, present or former, or tell what was sent where one may look. */
const FOR_ALL_WHO_SEE = [
  ...['event', 'context', 'backwards', 'forwards', 'aroundRoot', 'relations', 'threads', 'byTime', 'byId'],
  ...['rootWithThread'],
];

describe.each(VISIBILITIES)('where the history is %s', (visibility) => {
  it.each(Object.entries(PERSONAS))('%s', async (_who, { before, after, sees }) => {
    const self = await app.register('self');
    const initial_state = [
      { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'world_readable' } },
    ];
    const room = await createRoom(host, { preset: 'public_chat', initial_state });
    const story: Story = { room, host, self };
    const root = await sayIn(host, room, 'root');
    await host.ok('PUT', `/rooms/${room}/state/m.room.history_visibility`, { history_visibility: visibility });
    await before?.(story);
    const sentAt = app.now();
    const content = { msgtype: 'm.text', body: 'secret', 'm.relates_to': { rel_type: 'm.thread', event_id: root } };
    const event = String((await host.ok('PUT', `/rooms/${room}/send/m.room.message/t`, content)).event_id);
    const said: Said = { room, root, event, sentAt };
    await after?.(story);
    // What is visible now says nothing about what was.
    await host.ok('PUT', `/rooms/${room}/state/m.room.history_visibility`, { history_visibility: 'shared' });

    const texts = await everyReading(self, said);
    const seen = Object.keys(texts).filter((name) => texts[name]?.includes(event) || texts[name]?.includes('secret'));
    const isSeen = sees.includes(visibility);
    if (isSeen) {
      expect(seen).toEqual(expect.arrayContaining(FOR_ALL_WHO_SEE));
      expect(seen).toEqual(expect.arrayContaining(['sync', 'search', 'slidingSync']));
    } else if (visibility === 'world_readable') {
      // What the world might read when it was sent can be looked up; nobody is told of it who was not there.
      expect(seen).toContain('event');
      expect(seen).not.toContain('sync');
    } else {
      expect(seen).toEqual([]);
    }
  });
});
