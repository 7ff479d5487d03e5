import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, timelineBackwards } from '#projections/rooms/queries.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';

/** Above any place. */
const MAX_PLACE = 2 ** 48 - 1;
/** Events that are looked at in one turn of the event loop. */
const EVENTS_A_TURN = 200;

/** When messages were sent, by the clocks of their senders: milliseconds since the epoch, both ends included. */
export interface SentBetween {
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** The ids of a user's messages in a room that are not redacted, the newest first: all that can be redacted and is no state. */
export async function messagesOfUser(
  reader: Reader,
  room: Position,
  userId: string,
  limit = Number.POSITIVE_INFINITY,
  { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY }: SentBetween = {},
): Promise<string[]> {
  const found: string[] = [];
  let upTo = MAX_PLACE;
  for (;;) {
    let looked = 0;
    for (const { place, position } of timelineBackwards(reader, room, BEFORE_FIRST, upTo)) {
      upTo = place - 1;
      looked += 1;
      const event = eventAt(reader, position);
      const isMessage = event?.sender === userId && event.stateKey === undefined && event.type !== 'm.room.redaction';
      const isInTime = event !== undefined && event.originServerTs >= fromMs && event.originServerTs <= toMs;
      if (isMessage && isInTime && event.redactedBy === undefined) found.push(event.eventId);
      if (found.length >= limit) return found;
      if (looked === EVENTS_A_TURN) break;
    }
    if (looked < EVENTS_A_TURN) return found;
    await nextTurn();
  }
}
