import { describe, expect, it } from 'vitest';
import { AnswerNotJson, AnswerTooLarge } from './answer-body.ts';
import { readEventLists } from './event-lists.ts';

const LISTS = new Set(['state', 'auth_chain']);

/** The text as a body whose pieces have so many bytes. */
async function* inPieces(text: string | Buffer, bytes: number): AsyncGenerator<Buffer> {
  const whole = Buffer.from(text as string);
  for (let at = 0; at < whole.length; at += bytes) yield whole.subarray(at, at + bytes);
}

async function read(text: string | Buffer, bytes = 7) {
  const elements: [string, unknown][] = [];
  const texts: string[] = [];
  const others = await readEventLists(inPieces(text, bytes), LISTS, ({ list, value, text: json }) => {
    elements.push([list, value]);
    texts.push(json.toString());
  });
  return { elements, texts, others: { ...others } };
}

const ANSWER = {
  origin: 'one.test',
  event: { content: { body: 'a "quoted\\" ] } , text' }, nested: [[], {}, [1, [2]]] },
  state: [{ type: 'm.room.create', content: { 'a}]': '\\' } }, { type: 'ü🙂', depth: 1 }, 7, null, 'text, ]', [], [{}]],
  auth_chain: [],
  members_omitted: false,
  servers_in_room: ['one.test', 'two.test'],
};

describe('an answer with lists of events', () => {
  const { state, auth_chain: _, ...others } = ANSWER;

  it.each([1, 2, 3, 7, 64, 100_000])('is told event by event, in pieces of %i bytes', async (bytes) => {
    for (const text of [JSON.stringify(ANSWER), JSON.stringify(ANSWER, null, '\t\r\n')]) {
      const told = await read(text, bytes);
      expect(told.elements).toEqual(state.map((value) => ['state', value]));
      expect(told.others).toEqual(others);
      expect(told.texts.map((json) => JSON.parse(json))).toEqual(state);
    }
  });

  it('may have nothing in it, or something else than lists', async () => {
    expect(await read('{}')).toMatchObject({ elements: [], others: {} });
    expect(await read('{"state":"all","auth_chain":{"a":1}}')).toMatchObject({
      elements: [],
      others: { state: 'all', auth_chain: { a: 1 } },
    });
  });

  it.each([
    '',
    '{',
    '[]',
    '7',
    '{"state":[}',
    '{"state":[,]}',
    '{"state":[{}',
    '{"state":[{}]',
    '{"state":[{}{}]}',
    '{"state":[{} ],}',
    '{"state":[{"a":}]}',
    '{"state":[nul]}',
    '{"a" 1}',
    '{a:1}',
    '{"a":1}}',
    '{"a":1} {}',
    '{"a":}',
    '{"a":1 2}',
    '{"a":"\u0007"}',
    '{"state":[],"state":[]}',
    '{"\\u0073tate":[],"state":[]}',
    `{"state":[${'['.repeat(2000)}${']'.repeat(2000)}]}`,
  ])('is not believed if it is %j', async (text) => {
    await expect(read(text)).rejects.toThrow(AnswerNotJson);
    await expect(read(text, 1000)).rejects.toThrow(AnswerNotJson);
  });

  it('is not believed if it is not UTF-8', async () => {
    await expect(read(Buffer.from('{"state":[{"a":"\u00ff"}]}', 'latin1'))).rejects.toThrow(AnswerNotJson);
  });

  it('leaves out what is larger than any event, and ends where the rest is too large', async () => {
    const text = 'x'.repeat(1024 * 1024);
    const { elements } = await read(`{"state":[{"a":"${text}"},{"b":1}]}`, 64 * 1024);
    expect(elements).toEqual([['state', { b: 1 }]]);
    await expect(read(`{"a":"${text.repeat(5)}"}`, 64 * 1024)).rejects.toThrow(AnswerTooLarge);
    await expect(read(`{"${text.repeat(5)}":1}`, 64 * 1024)).rejects.toThrow(AnswerTooLarge);
  });

  it('tells nobody of a key that objects have by themselves', async () => {
    expect((await read('{"__proto__":{"event":1}}')).others).toEqual(
      Object.defineProperty({}, '__proto__', { value: { event: 1 }, enumerable: true }),
    );
  });
});
