import { findRoom, headOf } from '#projections/rooms/queries.ts';
import { prevEventIdsOf } from '#protocol/event-references.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { toldPositions, unknownOf, unplacedOf } from './known.ts';
import type { AncestryContext, Receipt, Verdict } from './types.ts';

/** Events that are asked for at once to close a gap. Source: server-server API, `get_missing_events`: servers give some 20. */
export const MAX_GAP_EVENTS = 50;
/** Events of a told state that are asked for at a time. */
const STATE_EVENTS_PER_REQUEST = 100;

/**
 * Step 5: the events that it follows are known, with the state around them. Whoever sends an event tells what lies between
 * it and what is known; before the oldest event of such a gap, the state is that which a peer tells.
 * Source: server-server API, "Checks performed on receipt of a PDU"; "Backfilling and retrieving missing events".
 *
 * @param closesGap whether the event was sent as something new, and not fetched to close a gap itself.
 */
export async function fetchPrevEvents(
  receipt: Receipt,
  context: AncestryContext,
  closesGap: boolean,
): Promise<Verdict | undefined> {
  const { reader } = context;
  const { room, pdu } = receipt;
  const prevEventIds = prevEventIdsOf(pdu, room.rules);
  const unplaced = unplacedOf(reader, room, prevEventIds);
  if (unplaced.length === 0) return undefined;
  if (closesGap) await closeGap(receipt, context);
  else for (const eventId of unplaced) await fetchPast(receipt, context, eventId);
  if (unplacedOf(reader, room, prevEventIds).length === 0) return undefined;
  const reason = 'The events that it follows, or the state around them, could not be had.';
  return { kind: 'retry', step: 'prev_events_known', reason };
}

async function closeGap({ room, origin, eventId }: Receipt, context: AncestryContext): Promise<void> {
  const { reader, missing, takeInGap } = context;
  const known = findRoom(reader, room.roomId);
  const earliest = (known && headOf(reader, known.id)?.extremities) ?? [];
  const between = await missing.between(room, origin, { earliest, latest: [eventId], limit: MAX_GAP_EVENTS });
  for (const event of between.slice(0, MAX_GAP_EVENTS)) await takeInGap(room, origin, event);
}

/** Takes in a single event of the past, with the state before it as a peer tells it. */
async function fetchPast({ room, origin }: Receipt, context: AncestryContext, eventId: string): Promise<void> {
  const { reader, missing } = context;
  const told = await missing.stateBefore(room, origin, eventId);
  if (told === undefined) return;
  const fetched: JsonObject[] = [];
  const wanted = unknownOf(reader, [...told.authEventIds, ...told.stateEventIds]);
  for (let at = 0; at < wanted.length; at += STATE_EVENTS_PER_REQUEST) {
    fetched.push(...(await missing.events(room, origin, wanted.slice(at, at + STATE_EVENTS_PER_REQUEST))));
  }
  if (fetched.length > 0) await context.receiveOutliers(room, origin, fetched);
  const [event] = await missing.events(room, origin, [eventId]);
  if (event !== undefined)
    await context.takeInTold(room, origin, event, eventId, toldPositions(reader, told.stateEventIds));
}
