import { authEventIdsOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { checkForm } from './check-form.ts';
import { unknownOf } from './known.ts';
import type { AncestryContext, Receipt, Verdict } from './types.ts';

/** Rounds of asking: each may bring events that name others which are missing. */
const MAX_ROUNDS = 20;
/** Events that are asked for on behalf of one. */
const MAX_EVENTS_FETCHED = 1000;

/**
 * Step 4: the events that it names to authorise it are known. Those that are not are fetched, with what authorises them.
 * Source: server-server API, "Checks performed on receipt of a PDU", 4.
 */
export async function fetchAuthEvents(receipt: Receipt, context: AncestryContext): Promise<Verdict | undefined> {
  const { room, origin, pdu } = receipt;
  const { rules } = room;
  const { reader, missing, pursuit } = context;
  if (pdu.type === 'm.room.create') return undefined;
  let wanted = unknownOf(reader, [
    ...authEventIdsOf(pdu, rules),
    ...(rules.eventFormat.createEventInAuthEvents ? [] : [createEventIdFromRoomId(room.roomId)]),
  ]);
  const fetched = new Map<string, JsonObject>();
  for (let round = 0; wanted.length > 0 && round < MAX_ROUNDS; round += 1) {
    if (fetched.size + wanted.length > MAX_EVENTS_FETCHED) break;
    const next: string[] = [];
    for (const event of await missing.events(room, origin, wanted, pursuit.signal)) {
      const formed = checkForm(room, origin, event);
      if ('kind' in formed || fetched.has(formed.eventId)) continue;
      fetched.set(formed.eventId, event);
      next.push(...authEventIdsOf(formed.pdu, rules));
    }
    wanted = unknownOf(reader, next).filter((eventId) => !fetched.has(eventId));
  }
  if (fetched.size > 0) await context.receiveOutliers(room, origin, [...fetched.values()]);
  const lacking = unknownOf(reader, authEventIdsOf(pdu, rules));
  if (lacking.length === 0) return undefined;
  const reason = `${lacking.length} of its auth events could not be had, ${lacking[0]} among them.`;
  return { kind: 'retry', step: 'auth_events_known', reason };
}
