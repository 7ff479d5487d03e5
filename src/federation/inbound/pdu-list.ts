/** Long lists of events in answers to other servers, written as they are read. */
import { Readable } from 'node:stream';
import { knownEventAt } from '#projections/rooms/known-events.ts';
import { RawAnswer } from '#src/http/answer.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';
import { type PduSource, pduOf } from '../pdus.ts';

/** Text that is handed to the network at a time. */
const CHUNK_CHARACTERS = 64 * 1024;
/** Events that are read from the log at the same time: so many are in memory for one answer. */
const READ_AT_ONCE = 64;

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
    for await (const pdus of readTogether(source, value)) {
      for (const pdu of pdus) {
        text += separator + pdu;
        separator = ',';
      }
      if (text.length < CHUNK_CHARACTERS) continue;
      yield text;
      text = '';
    }
    text += separator === '[' ? '[]' : ']';
  }
  yield `${text}}${after}`;
}

/** The JSON texts of events, in their order; while one batch is written the next is read. */
async function* readTogether(source: PduSource, positions: Iterable<Position>): AsyncGenerator<readonly string[]> {
  let reading: Promise<readonly string[]> | undefined;
  for (const batch of batchesOf(positions)) {
    const next = textsOf(source, batch);
    // It may fail while the one before is still waited for.
    next.catch(ignore);
    if (reading !== undefined) yield await reading;
    reading = next;
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  if (reading !== undefined) yield await reading;
}

function* batchesOf(positions: Iterable<Position>): Generator<Position[]> {
  let batch: Position[] = [];
  for (const position of positions) {
    batch.push(position);
    if (batch.length < READ_AT_ONCE) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function textsOf(source: PduSource, positions: readonly Position[]): Promise<string[]> {
  const pdus = await Promise.all(
    positions.map((position) => {
      const known = knownEventAt(source.reader, position);
      return known && pduOf(source, known);
    }),
  );
  return pdus.flatMap((pdu) => (pdu === undefined ? [] : JSON.stringify(pdu)));
}

function ignore(): void {}
