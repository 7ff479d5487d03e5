/**
 * What is sent to push gateways.
 * https://spec.matrix.org/v1.19/push-gateway-api/#post_matrixpushv1notify
 */

import type { Reader } from '#projections/engine/reader.ts';
import type { ActivePusher } from '#projections/pushers/projection.ts';
import { type Event, headOf, type Room, stateContent, strippedStateOf } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Outcome } from '../evaluate.ts';

/** Set by clients that count for themselves: no counts are sent then (MSC4076). */
const DISABLE_COUNTS = 'org.matrix.msc4076.disable_badge_count';

/** Whether a pusher wants to know how much is unread. */
export function wantsCounts({ pusher }: ActivePusher): boolean {
  return pusher.data[DISABLE_COUNTS] !== true;
}

/** JSON text of the notification of an event. */
export function eventNotification(
  reader: Reader,
  active: ActivePusher,
  { event, room, outcome }: { readonly event: Event; readonly room: Room; readonly outcome: Outcome },
  unread: number,
): string {
  const prio = event.type === 'm.room.encrypted' || outcome.tweaks.sound !== undefined || outcome.weight > 1;
  const common = {
    event_id: event.eventId,
    room_id: room.roomId,
    prio: prio ? 'high' : 'low',
    ...countsOf(active, unread),
  };
  if (active.pusher.data.format === 'event_id_only') {
    return JSON.stringify({ notification: { ...common, devices: [deviceOf(active, {})] } });
  }
  const notification = {
    ...common,
    // What the event's id was called before it had that name; gateways still look for it.
    id: event.eventId,
    type: event.type,
    sender: event.sender,
    ...contextOf(reader, active, room, event),
    ...(event.type === 'm.room.member' && membershipOf(active, event)),
    content: parseJson(event.contentJson),
    devices: [deviceOf(active, outcome.tweaks)],
  };
  return JSON.stringify({ notification });
}

/** JSON text of the notification that only says how much is unread. */
export function countsNotification(active: ActivePusher, unread: number): string {
  return JSON.stringify({ notification: { ...countsOf(active, unread), devices: [deviceOf(active, {})] } });
}

/** A count of zero is sent too: without it gateways would not know that there is nothing unread any more. */
function countsOf(active: ActivePusher, unread: number): object {
  return wantsCounts(active) ? { counts: { unread } } : {};
}

function deviceOf({ pusher, setAtMs }: ActivePusher, tweaks: Outcome['tweaks']): object {
  const { url: _, ...data } = pusher.data;
  return { app_id: pusher.app_id, pushkey: pusher.pushkey, pushkey_ts: Math.floor(setAtMs / 1000), data, tweaks };
}

function contextOf(reader: Reader, { userId }: ActivePusher, room: Room, { sender }: Event): object {
  const contentOf = stateReader(reader, room, userId);
  const name = textOf(contentOf('m.room.name', '')?.name);
  const alias = textOf(contentOf('m.room.canonical_alias', '')?.alias);
  const senderName = textOf(contentOf('m.room.member', sender)?.displayname);
  const roomName = name ?? alias;
  return {
    ...(senderName !== undefined && { sender_display_name: senderName }),
    ...(roomName !== undefined && { room_name: roomName }),
    ...(alias !== undefined && { room_alias: alias }),
  };
}

type ReadContent = (type: string, stateKey: string) => JsonObject | undefined;

/** Reads the state of a room, or what somebody who is invited from elsewhere was told of it. */
function stateReader(reader: Reader, room: Room, userId: string): ReadContent {
  const stripped = headOf(reader, room.id) === undefined ? strippedStateOf(reader, room.id, userId) : undefined;
  if (stripped === undefined) return (type, stateKey) => stateContent(reader, room.id, type, stateKey);
  const events: unknown = parseJson(stripped);
  return (type, stateKey) => {
    const found: unknown = Array.isArray(events)
      ? events.find((one) => isJsonObject(one) && one.type === type && one.state_key === stateKey)
      : undefined;
    const content = isJsonObject(found) ? found.content : undefined;
    return isJsonObject(content) ? content : undefined;
  };
}

function membershipOf({ userId }: ActivePusher, event: Event): object {
  const content: unknown = parseJson(event.contentJson);
  const membership = isJsonObject(content) ? textOf((content as JsonObject).membership) : undefined;
  return { ...(membership !== undefined && { membership }), user_is_target: event.stateKey === userId };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
