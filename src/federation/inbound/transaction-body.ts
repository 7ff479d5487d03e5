/** The body of a large transaction, read and written in turns of the event loop: each event and EDU by itself. */
import { canonicalJson, canonicalKeys } from '#protocol/canonical-json.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { requireWholePairs } from '#src/http/body.ts';
import type { LargeBody } from '#src/http/endpoint.ts';
import { badJson, MatrixError } from '#src/http/errors.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { AnswerNotJson, AnswerTooLarge } from '../answer-body.ts';
import { readEventLists } from '../event-lists.ts';

const LISTS: ReadonlySet<string> = new Set(['pdus', 'edus']);
/** What is looked at before others have their turn. */
const PIECE_BYTES = 64 * 1024;

/** How transactions beyond the usual size are read. What of them is larger than any event or EDU is left out. */
export const largeTransaction: LargeBody = { read, canonical };

/** @throws {MatrixError} M_NOT_JSON, M_BAD_JSON. */
async function read(bytes: Buffer): Promise<JsonObject> {
  const found = new Map<string, JsonValue[]>([...LISTS].map((list) => [list, []]));
  const lists: { [list: string]: JsonValue[] } = {};
  try {
    const others = await readEventLists(
      piecesOf(bytes),
      LISTS,
      ({ list, value, text }) => {
        requireWholePairs(text, value);
        found.get(list)?.push(value);
      },
      (list) => {
        lists[list] = found.get(list) ?? [];
      },
    );
    return { ...others, ...lists };
  } catch (error) {
    if (error instanceof AnswerNotJson) throw new MatrixError('M_NOT_JSON', undefined, { cause: error });
    if (error instanceof AnswerTooLarge) throw badJson('The transaction is more than its lists.');
    throw error;
  }
}

async function* piecesOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
}

/** @throws {CanonicalJsonError} if it has no canonical form. */
async function canonical(transaction: JsonObject): Promise<string> {
  const members: string[] = [];
  for (const key of canonicalKeys(transaction)) {
    const value = transaction[key];
    if (value === undefined) continue;
    if (!LISTS.has(key) || !Array.isArray(value)) {
      members.push(`${canonicalJson(key)}:${canonicalJson(value, 'loose')}`);
      continue;
    }
    const elements: string[] = [];
    for (const element of value as JsonValue[]) {
      elements.push(canonicalJson(element, 'loose'));
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    members.push(`"${key}":[${elements.join(',')}]`);
  }
  return `{${members.join(',')}}`;
}
