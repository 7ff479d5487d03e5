import { constants } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonValue } from '#protocol/pdu.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import { RoomFileError } from './errors.ts';
import { type RoomEvent, readRoomEvent } from './room-event.ts';

/** Largest file of PDUs or event ids, in bytes: what a text can hold. */
export const MAX_FILE_BYTES = constants.MAX_STRING_LENGTH;

/**
 * Reads files that each hold a JSON array of PDUs. A PDU may be in several of them.
 *
 * @returns the events by id, in the order in which they came.
 * @throws {RoomFileError} for a file that cannot be read, an entry that is no PDU, or two events with one id.
 */
export async function readPduFiles(
  files: readonly string[],
  rules: RoomVersionRules,
): Promise<ReadonlyMap<string, RoomEvent>> {
  const events = new Map<string, RoomEvent>();
  const values = new Map<string, JsonValue>();
  for (const file of files) {
    for (const [index, value] of (await readArray(file)).entries()) {
      const event = readRoomEvent(value, `${file}[${index}]`, rules);
      const known = events.get(event.eventId);
      if (known === undefined) {
        events.set(event.eventId, event);
        values.set(event.eventId, value);
      } else if (!isSameEvent(values.get(event.eventId), value)) {
        throw new RoomFileError(event.where, `Another event has the same id ${event.eventId}: see ${known.where}.`);
      }
    }
  }
  return events;
}

/** Reads a file that holds a JSON array of event ids. @throws {RoomFileError} */
export async function readEventIds(file: string): Promise<string[]> {
  return (await readArray(file)).map((value, index) => {
    if (typeof value === 'string') return value;
    throw new RoomFileError(`${file}[${index}]`, 'This is not an event id: a text is expected.');
  });
}

async function readArray(file: string): Promise<readonly JsonValue[]> {
  let value: JsonValue;
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) {
      throw new Error(`The file is ${size} bytes large; at most ${MAX_FILE_BYTES} are read. Split it in several.`);
    }
    value = parseJsonExactly(await readFile(file, 'utf8'));
  } catch (error) {
    throw new RoomFileError(file, error instanceof Error ? error.message : String(error));
  }
  if (Array.isArray(value)) return value as readonly JsonValue[];
  throw new RoomFileError(file, 'The file does not hold a JSON array.');
}

/** Whether two PDUs are the same event, whatever servers added to them on the way. */
function isSameEvent(a: JsonValue | undefined, b: JsonValue): boolean {
  return a !== undefined && withoutAdditions(a) === withoutAdditions(b);
}

function withoutAdditions(pdu: JsonValue): string {
  if (!isJsonObject(pdu)) return '';
  const { unsigned: _unsigned, signatures: _signatures, ...rest } = pdu;
  return canonicalJson(rest, 'loose');
}
