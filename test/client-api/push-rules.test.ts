/** Push rules over HTTP. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
});

afterAll(() => app.close());

interface Rule {
  readonly rule_id: string;
}

async function ids(kind: string): Promise<string[]> {
  const { global } = (await alice.ok('GET', '/pushrules/')) as { readonly global?: unknown };
  return ((global as Record<string, Rule[]>)[kind] ?? []).map(({ rule_id }) => rule_id);
}

describe('push rules', () => {
  it('are there from the start, the same in all places', async () => {
    const all = await alice.ok('GET', '/pushrules/');
    expect(await alice.ok('GET', '/pushrules/global/')).toEqual(all.global);
    const accountData = `/user/${encodeURIComponent(alice.userId)}/account_data/m.push_rules`;
    expect(await alice.ok('GET', accountData)).toEqual(all);
    expect(await alice.ok('GET', '/pushrules/global/override/')).toEqual(Object(all.global).override);
    expect(Object.keys(Object(all.global))).toEqual(['override', 'content', 'room', 'sender', 'underride']);
  });

  it('are made in an order, read, changed and removed', async () => {
    const at = '/pushrules/global/content';
    await alice.ok('PUT', `${at}/a`, { pattern: 'cake', actions: ['notify', 'dont_notify'] });
    await alice.ok('PUT', `${at}/b`, { pattern: 'lie', actions: [] });
    await alice.ok('PUT', `${at}/c?after=b`, { pattern: 'c', actions: [] });
    await alice.ok('PUT', `${at}/d?before=b`, { pattern: 'd', actions: [{ set_tweak: 'sound', value: 'x.wav' }] });
    expect(await ids('content')).toEqual(['d', 'b', 'c', 'a', '.m.rule.contains_user_name']);
    expect(await alice.ok('GET', `${at}/a`)).toEqual({
      rule_id: 'a',
      default: false,
      enabled: true,
      pattern: 'cake',
      actions: ['notify', 'dont_notify'],
    });
    await alice.ok('PUT', `${at}/a/enabled`, { enabled: false });
    await alice.ok('PUT', `${at}/a/actions`, { actions: [{ set_tweak: 'highlight' }] });
    expect(await alice.ok('GET', `${at}/a/enabled`)).toEqual({ enabled: false });
    expect(await alice.ok('GET', `${at}/a/actions`)).toEqual({ actions: [{ set_tweak: 'highlight' }] });
    await alice.ok('DELETE', `${at}/a`);
    expect(await alice.call('GET', `${at}/a`)).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } });
    expect((await alice.call('DELETE', `${at}/a`)).status).toBe(404);
  });

  it('of the server can be changed', async () => {
    const master = '/pushrules/global/override/.m.rule.master';
    await alice.ok('PUT', `${master}/enabled`, { enabled: true });
    await alice.ok('PUT', `${master}/actions`, { actions: ['notify'] });
    expect(await alice.ok('GET', master)).toMatchObject({ default: true, enabled: true, actions: ['notify'] });
    expect((await alice.call('DELETE', master)).status).toBe(404);
  });

  it.each([
    ['PUT', '/pushrules/global/nokind/x', { actions: [] }, 400, 'M_INVALID_PARAM'],
    ['PUT', '/pushrules/global/room/.m.rule.mine', { actions: [] }, 400, 'M_INVALID_PARAM'],
    ['PUT', '/pushrules/global/room/a%2Fb', { actions: [] }, 400, 'M_INVALID_PARAM'],
    ['PUT', '/pushrules/global/room/a%5Cb', { actions: [] }, 400, 'M_INVALID_PARAM'],
    ['PUT', '/pushrules/global/room/x', {}, 400, 'M_MISSING_PARAM'],
    ['PUT', '/pushrules/global/room/x', { actions: ['explode'] }, 400, 'M_BAD_JSON'],
    ['PUT', '/pushrules/global/room/x', { actions: 'notify' }, 400, 'M_BAD_JSON'],
    ['PUT', '/pushrules/global/content/x', { actions: [] }, 400, 'M_BAD_JSON'],
    ['PUT', '/pushrules/global/override/x', { actions: [], conditions: ['x'] }, 400, 'M_BAD_JSON'],
    ['PUT', '/pushrules/global/override/x', { actions: [], conditions: [{}] }, 400, 'M_BAD_JSON'],
    ['PUT', '/pushrules/global/room/x?before=nope', { actions: [] }, 400, 'M_UNKNOWN'],
    ['PUT', '/pushrules/global/override/x?after=.m.rule.reaction', { actions: [] }, 400, 'M_UNKNOWN'],
    ['PUT', '/pushrules/global/room/nope/enabled', { enabled: true }, 404, 'M_NOT_FOUND'],
    ['PUT', '/pushrules/global/override/.not.there/actions', { actions: [] }, 404, 'M_NOT_FOUND'],
    ['PUT', '/pushrules/global/override/.m.rule.master/enabled', { enabled: 'yes' }, 400, 'M_BAD_JSON'],
    ['GET', '/pushrules/global/nokind/x', undefined, 400, 'M_INVALID_PARAM'],
    ['GET', '/pushrules/global/nokind/', undefined, 400, 'M_INVALID_PARAM'],
  ] as const)('%s %s %j: %d %s', async (method, at, body, status, errcode) => {
    expect(await alice.call(method, at, body)).toMatchObject({ status, body: { errcode } });
  });
});

it.each([
  ['GET', '/pushrules', 404],
  ['GET', '/pushrules/global', 400],
  ['GET', '/pushrules/global/room', 400],
  ['GET', '/pushrules/device/', 400],
  ['GET', '/pushrules/global/override/.m.rule.master/conditions', 400],
  ['PUT', '/pushrules/', 400],
  ['PUT', '/pushrules/global', 400],
  ['PUT', '/pushrules/global/room', 400],
  ['PUT', '/pushrules/global/room/', 400],
  ['PUT', '/pushrules/device/room/x', 400],
  ['PUT', '/pushrules/global/override/.m.rule.master/conditions', 400],
  ['DELETE', '/pushrules/global/room/', 400],
] as const)('%s %s is no push rule: %d', async (method, at, status) => {
  expect((await alice.call(method, at, method === 'PUT' ? {} : undefined)).status).toBe(status);
});
