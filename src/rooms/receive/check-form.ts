import { checkEventFormat } from '#protocol/event-format.ts';
import { eventIdOf, roomIdFromCreateEventId } from '#protocol/hashing.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import type { Receipt, ReceivingRoom, Verdict } from './types.ts';

/**
 * Step 1: the event has the form that its room version asks for, and is in the room that it was sent for.
 * Source: server-server API, "Checks performed on receipt of a PDU", 1.
 *
 * @returns the event as a receipt for the steps that follow, or why it is dropped.
 */
export function checkForm(room: ReceivingRoom, origin: string, event: JsonObject): Receipt | Verdict {
  const { rules, roomId } = room;
  const form = checkEventFormat(event, rules);
  if (!form.valid && form.disposition === 'drop') return { kind: 'drop', step: 'form', reason: form.reason };
  const { texts } = form;
  const pdu = event as Pdu;
  const eventId = eventIdOf(pdu, rules, texts);
  const isNamedByItself = event.type === 'm.room.create' && rules.roomIdFormat === 'create_event_hash';
  const itsRoomId = isNamedByItself ? roomIdFromCreateEventId(eventId) : event.room_id;
  if (itsRoomId !== roomId) {
    return { kind: 'drop', step: 'form', reason: `The event is of another room than ${roomId}.` };
  }
  return {
    room,
    origin,
    event,
    eventId,
    texts,
    pdu,
    ...(!form.valid && { rejection: { kind: 'reject', step: 'form', reason: form.reason } as const }),
  };
}
