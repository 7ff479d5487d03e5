import { describe, expect, it } from 'vitest';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { MatrixError } from '#src/http/errors.ts';
import { MAX_DESTINATIONS, remoteMessagesOf, SOFT_MAX_EDU_BYTES } from './outbox.ts';
import { type DeviceMessage, transactionKey } from './to-device.ts';

const message = (messages: DeviceMessage['messages']): DeviceMessage => ({
  sender: '@alice:one.test',
  type: 'm.test',
  transaction: transactionKey('@alice:one.test', 'DEVICE', 'm.test', '1'),
  messages,
});
const parsed = (contents: readonly string[] | undefined): Record<string, unknown>[] =>
  (contents ?? []).map((content) => JSON.parse(content) as Record<string, unknown>);

describe('messages to devices of other servers', () => {
  it('are one EDU for each server, without those of this one and without what is no user', () => {
    const remote = remoteMessagesOf(
      'one.test',
      message({
        '@alice:one.test': { '*': { n: 0 } },
        '@bob:two.test': { A: { n: 1 }, B: { n: 2 } },
        '@carol:two.test': { '*': { n: 3 }, '': { n: 3 }, '\ud800': { n: 3 } },
        '@dave:three.test:8448': { '*': { n: 4 } },
        nobody: { '*': { n: 5 } },
        '@x:not a name': { '*': { n: 6 } },
      }),
    );
    expect([...remote.keys()]).toEqual(['two.test', 'three.test:8448']);
    expect(parsed(remote.get('two.test'))).toEqual([
      {
        sender: '@alice:one.test',
        type: 'm.test',
        message_id: expect.any(String),
        messages: { '@bob:two.test': { A: { n: 1 }, B: { n: 2 } }, '@carol:two.test': { '*': { n: 3 } } },
      },
    ]);
  });

  it('are divided where they are long, each part with a name of its own that a request made again has too', () => {
    const text = 'x'.repeat(10_000);
    const devices = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`D${n}`, { text, n }]));
    const once = remoteMessagesOf('one.test', message({ '@bob:two.test': devices })).get('two.test');
    const again = remoteMessagesOf('one.test', message({ '@bob:two.test': devices })).get('two.test');
    expect(again).toEqual(once);
    expect(once?.every((content) => content.length < SOFT_MAX_EDU_BYTES + 1000)).toBe(true);
    const parts = parsed(once);
    expect(new Set(parts.map(({ message_id: id }) => id)).size).toBe(5);
    expect(parts.every(({ message_id: id }) => String(id).length <= 32)).toBe(true);
    const all = parts.map(({ messages }) => (messages as Record<string, object>)['@bob:two.test']);
    expect(Object.assign({}, ...all)).toEqual(devices);
  });

  it('can be signed, whatever the names in them are', () => {
    const [content] = parsed(
      remoteMessagesOf('one.test', message({ '@bob:two.test': { __proto__x: {}, '"\\': { '\u{1f600}': null } } })).get(
        'two.test',
      ),
    );
    expect(() => canonicalJson(content as never)).not.toThrow();
  });

  it('are refused where they cannot be signed, or go to too many servers', () => {
    const refusal = (messages: DeviceMessage['messages']): unknown => {
      try {
        return remoteMessagesOf('one.test', message(messages));
      } catch (error) {
        return error instanceof MatrixError ? error.errcode : error;
      }
    };
    expect(refusal({ '@bob:two.test': { A: { half: 0.5 } } })).toBe('M_BAD_JSON');
    expect(refusal({ '@bob:two.test': { A: { text: '\ud800' } } })).toBe('M_BAD_JSON');
    const many = Array.from({ length: MAX_DESTINATIONS + 1 }, (_, n) => [`@u:s${n}.test`, { '*': {} }]);
    expect(refusal(Object.fromEntries(many) as DeviceMessage['messages'])).toBe('M_TOO_LARGE');
  });
});
