import { randomBytes } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { RawAnswer } from '#src/http/answer.ts';
import { InteractiveAuth, type InteractiveRequest } from './interactive-auth.ts';

/** Two ways: a and then b, or a and then c. */
const FLOWS = [
  ['a', 'b'],
  ['a', 'c'],
];

const time = { nowMs: 0 };
const newAuth = (maxSessions?: number) =>
  new InteractiveAuth({ clock: () => time.nowMs, random: randomBytes, ...(maxSessions && { maxSessions }) });

function request(auth: InteractiveRequest['auth'], more: Partial<InteractiveRequest> = {}): InteractiveRequest {
  const pass = async () => undefined;
  return {
    operation: 'POST /x',
    body: { wish: 1 },
    bodyIs: 'bound',
    auth,
    userId: undefined,
    flows: FLOWS,
    stages: { a: pass, b: pass, c: pass },
    ...more,
  };
}

/** The 401 as the client sees it. */
function challengeOf(answer: object): Record<string, unknown> {
  if (!(answer instanceof RawAnswer)) throw new Error(`not a challenge: ${JSON.stringify(answer)}`);
  expect(answer.status).toBe(401);
  return JSON.parse(String(answer.body));
}

describe('a flow of several stages', () => {
  test('is gone through in order, and then does the work once', async () => {
    const auth = newAuth();
    const work = vi.fn(async () => ({ done: true }));
    const asked = challengeOf(await auth.run(request(undefined), work));
    expect(asked).toEqual({
      flows: FLOWS.map((stages) => ({ stages })),
      params: {},
      session: expect.any(String),
    });
    const session = String(asked.session);
    expect(challengeOf(await auth.run(request({ type: 'c', session }), work)).errcode).toBe('M_UNAUTHORIZED');
    const half = challengeOf(await auth.run(request({ type: 'a', session }), work));
    expect(half).toMatchObject({ completed: ['a'], session });
    expect(half).not.toHaveProperty('errcode');
    // A stage that is complete is not tried again.
    const stages = { a: vi.fn(), b: async () => undefined, c: async () => undefined };
    expect(challengeOf(await auth.run(request({ type: 'a', session }, { stages }), work)).completed).toEqual(['a']);
    expect(stages.a).not.toHaveBeenCalled();
    expect(work).not.toHaveBeenCalled();
    expect(await auth.run(request({ type: 'c', session }), work)).toEqual({ done: true });
    expect(await auth.run(request({ session }), work)).toEqual({ done: true });
    expect(work).toHaveBeenCalledOnce();
  });

  test('remembers what was said, until it is said anew, where the request wants that', async () => {
    const auth = newAuth();
    const work = vi.fn(async (_session: unknown, body: object) => body);
    const say = (given: InteractiveRequest['auth'], body: object) =>
      auth.run(request(given, { body, bodyIs: 'remembered' }), work);
    const session = String(challengeOf(await say(undefined, { name: 'first', device: 'D' })).session);
    challengeOf(await say({ type: 'a', session }, { name: 'second', device: undefined, extra: 1 }));
    expect(await say({ type: 'b', session }, {})).toEqual({ name: 'second', device: 'D', extra: 1 });
  });

  test('cannot be used by two requests at the same time', async () => {
    const auth = newAuth();
    const gate = Promise.withResolvers<object>();
    const flows = [['a']];
    const session = String(challengeOf(await auth.run(request(undefined, { flows }), async () => ({}))).session);
    const first = auth.run(request({ type: 'a', session }, { flows }), () => gate.promise);
    await expect(auth.run(request({ type: 'a', session }, { flows }), async () => ({}))).rejects.toMatchObject({
      errcode: 'M_FORBIDDEN',
    });
    gate.resolve({ first: true });
    expect(await first).toEqual({ first: true });
  });

  test('lets go of what its stages held when it is over, however that is', async () => {
    const auth = newAuth(2);
    const released: string[] = [];
    const holding = (name: string) =>
      request(
        { type: 'a' },
        {
          stages: {
            a: async (_auth, session) => {
              session.onEnd(() => released.push(name));
              return undefined;
            },
          },
          ...(name === 'done' && { flows: [['a']] }),
        },
      );
    await auth.run(holding('done'), async () => ({}));
    expect(released).toEqual(['done']);
    await auth.run(holding('pushed out'), async () => ({}));
    await auth.run(holding('expired'), async () => ({}));
    await auth.run(request(undefined), async () => ({}));
    expect(released).toEqual(['done', 'pushed out']);
    time.nowMs += 31 * 60_000;
    await auth.run(request(undefined), async () => ({}));
    expect(released).toEqual(['done', 'pushed out', 'expired']);
    expect(auth.size).toBe(1);
  });
});
