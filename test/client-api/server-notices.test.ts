/** Messages of the server to its users. */
import { afterEach, expect, test } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

const PATH = '/_synapse/admin/v1/send_server_notice';

let app: TestApplication;
let admin: TestClient;
let alice: TestClient;
async function start(settings: object = { server_notices: { localpart: 'notices' } }): Promise<void> {
  app = await startApplication(settings);
  admin = await app.register('admin');
  await app.context.accounts.setAdmin(admin.userId, true);
  alice = await app.register('alice');
}
afterEach(() => app.close());

const notice = (body: string, userId = alice.userId) => ({ user_id: userId, content: { msgtype: 'm.text', body } });

interface Synced {
  readonly rooms?: {
    readonly invite?: Record<string, unknown>;
    readonly join?: Record<
      string,
      {
        readonly account_data: { readonly events: { readonly type: string; readonly content: object }[] };
        readonly timeline: {
          readonly events: { readonly type: string; readonly content: { readonly body?: string } }[];
        };
      }
    >;
  };
}
const sync = async () => (await alice.ok('GET', '/sync')) as unknown as Synced;

test('a user is invited to one room of notices, which is known by its tag, and cannot turn it down or answer', async () => {
  await start();
  await admin.ok('POST', PATH, notice('one'));
  await admin.ok('POST', PATH, notice('two'));
  const invites = Object.keys((await sync()).rooms?.invite ?? {});
  expect(invites).toHaveLength(1);
  const [roomId = ''] = invites;
  expect(errorOf(await alice.call('POST', `/rooms/${roomId}/leave`))).toBe('403 M_CANNOT_LEAVE_SERVER_NOTICE_ROOM');
  await alice.ok('POST', `/join/${roomId}`);
  const room = (await sync()).rooms?.join?.[roomId];
  expect(room?.account_data.events).toContainEqual({ type: 'm.tag', content: { tags: { 'm.server_notice': {} } } });
  const messages = room?.timeline.events.filter(({ type }) => type === 'm.room.message');
  expect(messages?.map(({ content }) => content.body)).toEqual(['one', 'two']);
  expect(messages?.[0]).toMatchObject({ sender: '@notices:localhost' });
  expect(errorOf(await alice.call('PUT', `/rooms/${roomId}/send/m.room.message/1`, {}))).toBe('403 M_FORBIDDEN');

  await alice.ok('POST', `/rooms/${roomId}/leave`);
  await admin.ok('POST', PATH, notice('three'));
  expect(Object.keys((await sync()).rooms?.invite ?? {})).toEqual([roomId]);
});

test('at the same time there is one room all the same, and a transaction is sent once', async () => {
  await start();
  const [one, two] = await Promise.all([
    admin.ok('PUT', `${PATH}/same`, notice('once')),
    admin.ok('PUT', `${PATH}/same`, notice('once')),
    admin.ok('POST', PATH, notice('other')),
  ]);
  expect(one).toEqual(two);
  expect(Object.keys((await sync()).rooms?.invite ?? {})).toHaveLength(1);
});

test('they are for administrators to send, to users of this server, where they are turned on', async () => {
  await start();
  expect(errorOf(await alice.call('POST', PATH, notice('x')))).toBe('403 M_FORBIDDEN');
  expect(errorOf(await admin.call('POST', PATH, notice('x', '@nobody:localhost')))).toBe('404 M_NOT_FOUND');
  expect(errorOf(await admin.call('POST', PATH, notice('x', '@a:elsewhere.example')))).toBe('400 M_INVALID_PARAM');
  await app.close();
  await start({});
  expect(errorOf(await admin.call('POST', PATH, notice('x')))).toBe('400 M_UNKNOWN');
});
