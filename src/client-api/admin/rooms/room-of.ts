import { findRoom, type Room } from '#projections/rooms/queries.ts';
import type { StateRef } from '#projections/rooms/state/index.ts';
import type { Context } from '#src/context.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';
import { parseMoment, presentState, stateAt } from '#src/rooms/as-of.ts';

/** What reading rooms as an administrator needs. */
export type RoomsContext = Pick<Context, 'reader' | 'log'>;

/** `asof`: an event, a time or a position of the log; see `parseMoment`. */
export const asOfQuery = { asof: queryText().optional() };

/** @throws {MatrixError} M_NOT_FOUND for a room that this server does not know */
export function roomOf({ reader }: Pick<Context, 'reader'>, roomId: string): Room {
  const room = findRoom(reader, roomId);
  if (room === undefined) throw notFound('There is no such room here.');
  return room;
}

/** The state of a room now, or as of a moment. @throws {MatrixError} M_INVALID_PARAM, or M_NOT_FOUND where there was none */
export async function stateAsOf(
  { reader, log }: RoomsContext,
  room: Room,
  asof: string | undefined,
): Promise<StateRef> {
  if (asof === undefined) return presentState(reader, room);
  const moment = parseMoment(asof);
  if (moment === undefined) throw invalidParam('asof is an event id, a time, or a position in the log.');
  const state = await stateAt(reader, log, room, moment);
  if (state === undefined) throw notFound('This server knew no state of the room at that moment.');
  return state;
}
