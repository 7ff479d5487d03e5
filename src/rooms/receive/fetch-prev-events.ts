import { findRoom, headOf } from '#projections/rooms/queries.ts';
import { prevEventIdsOf } from '#protocol/event-references.ts';
import { toldState, unknownAmong, unplacedOf } from './known.ts';
import type { AncestryContext, Receipt, Verdict } from './types.ts';

/** Events that are asked for at once to close a gap. Source: server-server API, `get_missing_events`: servers give some 20. */
export const MAX_GAP_EVENTS = 50;
/** Unknown events of a told state that are asked for one by one; with more the whole state is asked for. */
const MAX_STATE_EVENTS_FETCHED_SINGLY = 100;

/**
 * Step 5: the events that it follows are known, with the state around them. Whoever sends an event tells what lies between
 * it and what is known; before the oldest event of such a gap, the state is that which a peer tells. The same goes for the event
 * that it follows, where the gap cannot be closed though something of it was told.
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
  // Whoever tells nothing of what lies between has nothing to say of the state there.
  const isTold = !closesGap || (await closeGap(receipt, context));
  // Whoever came into the room not long ago may know nothing of what lies before, but the state around what it has.
  const pasts = !isTold ? [] : closesGap ? unplacedOf(reader, room, prevEventIds) : unplaced;
  for (const eventId of pasts) await fetchPast(receipt, context, eventId);
  if (unplacedOf(reader, room, prevEventIds).length === 0) return undefined;
  const reason = 'The events that it follows, or the state around them, could not be had.';
  return { kind: 'retry', step: 'prev_events_known', reason };
}

/** @returns whether anything was told. */
async function closeGap({ room, origin, eventId }: Receipt, context: AncestryContext): Promise<boolean> {
  const { reader, missing, pursuit, takeInGap } = context;
  const known = findRoom(reader, room.roomId);
  const earliest = (known && headOf(reader, known.id)?.extremities) ?? [];
  const range = { earliest, latest: [eventId], limit: MAX_GAP_EVENTS };
  const between = await missing.between(room, origin, range, pursuit.signal);
  for (const event of between.slice(0, MAX_GAP_EVENTS)) await takeInGap(room, origin, event);
  return between.length > 0;
}

/** Takes in a single event of the past, with the state before it as a peer tells it. */
async function fetchPast({ room, origin }: Receipt, context: AncestryContext, eventId: string): Promise<void> {
  const { reader, missing, pursuit } = context;
  if (!pursuit.takeState()) return;
  const { signal } = pursuit;
  // Whoever does not have the event has nothing to say of the state before it.
  const [event] = await missing.events(room, origin, [eventId], signal);
  if (event === undefined) return;
  const told = await missing.stateBefore(room, origin, eventId, signal);
  if (told === undefined) return;
  const wanted = await unknownAmong(reader, [...told.authEventIds, ...told.stateEventIds]);
  if (wanted.length > 0) {
    const fetched =
      wanted.length <= MAX_STATE_EVENTS_FETCHED_SINGLY
        ? await missing.events(room, origin, wanted, signal)
        : await missing.stateEventsBefore(room, origin, eventId, signal);
    if (fetched.length > 0) await context.receiveOutliers(room, origin, fetched);
  }
  await context.takeInTold(room, origin, event, eventId, await toldState(reader, room, told.stateEventIds));
}
