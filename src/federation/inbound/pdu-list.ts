/** Long lists of events in answers to other servers, written as they are read. */
import { Readable } from 'node:stream';
import { knownEventAt } from '#projections/rooms/known-events.ts';
import { RawAnswer } from '#src/http/answer.ts';
import type { Position } from '#streams/event-log.ts';
import { type PduSource, pduOf } from '../pdus.ts';

/** Text that is handed to the network at a time. */
const CHUNK_CHARACTERS = 64 * 1024;

/** A member of a JSON object: text that is there, or the positions of events that become a list of PDUs. */
export type AnswerMember = readonly [name: string, value: string | Iterable<Position>];

/**
 * A JSON object with lists of PDUs, some of which may be tens of thousands long. What was erased from the log is left out.
 *
 * @param wrap text around the object, for the older form of some answers.
 */
export function pduListAnswer(
  source: PduSource,
  members: readonly AnswerMember[],
  wrap: readonly [before: string, after: string] = ['', ''],
): RawAnswer {
  return new RawAnswer({
    headers: { 'content-type': 'application/json' },
    body: Readable.from(chunksOf(source, members, wrap)),
  });
}

async function* chunksOf(
  source: PduSource,
  members: readonly AnswerMember[],
  [before, after]: readonly [string, string],
): AsyncGenerator<string> {
  let text = `${before}{`;
  for (const [index, [name, value]] of members.entries()) {
    text += `${index === 0 ? '' : ','}${JSON.stringify(name)}:`;
    if (typeof value === 'string') {
      text += value;
      continue;
    }
    let separator = '[';
    for (const position of value) {
      const known = knownEventAt(source.reader, position);
      const pdu = known && (await pduOf(source, known));
      if (pdu === undefined) continue;
      text += separator + JSON.stringify(pdu);
      separator = ',';
      if (text.length < CHUNK_CHARACTERS) continue;
      yield text;
      text = '';
    }
    text += separator === '[' ? '[]' : ']';
  }
  yield `${text}}${after}`;
}
