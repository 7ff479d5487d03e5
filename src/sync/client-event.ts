/**
 * Events in the form that clients get. The text is put together around the stored JSON of the content, which is not parsed.
 * https://spec.matrix.org/v1.19/client-server-api/#room-event-format
 */

import { isErasedUser } from '#projections/accounts/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt, roomById } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { redactContent } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Requester } from '#src/http/endpoint.ts';
import type { RoomVisibility } from '#src/rooms/visibility.ts';

/** Who looks, and how. */
export interface EventView {
  readonly reader: Reader;
  /** Of the room whose events are shown, to whoever looks. */
  readonly visibility: RoomVisibility;
  readonly viewer: Viewer;
  /** Milliseconds since the epoch, for the age of events. */
  readonly nowMs: number;
  /** Missing in `/sync`, where the room is named around the events. */
  readonly roomId?: string;
  /** See `Filter.selectFields`. */
  readonly selectFields?: ((event: JsonObject) => JsonObject) | undefined;
  /** What is bundled with events that others relate to; missing where nothing is. See bundled-relations.ts. */
  readonly bundles?: EventBundles | undefined;
}

/** Puts together what is bundled with events. */
export interface EventBundles {
  /** Whether something may be bundled with the event for somebody: one short look-up. */
  mayHave(event: Event): boolean;
  /** Whether the event is the root of a thread in which the viewer sees something. */
  hasThread(view: EventView, event: Event): boolean;
  /** JSON text of `m.relations`; undefined if there is none. */
  textFor(view: EventView, event: Event): string | undefined;
}

/** The user who looks, and what names the device in the transactions of its events. */
export interface Viewer {
  readonly userId: string;
  readonly deviceKey: string;
}

/** A requester as the one who looks. */
export function viewerOf({ userId, deviceId, tokenId }: Requester): Viewer {
  return { userId, deviceKey: deviceId ?? tokenId };
}

/** JSON text of an event for a client, with what the server adds in `unsigned`. */
export function clientEvent(view: EventView, event: Event): string {
  const membership = view.visibility.membershipAt(event);
  const shown = asShown(view, event, membership);
  const text = `${openEvent(shown, view.roomId)},"unsigned":{${unsignedOf(view, shown, membership)}}}`;
  if (view.selectFields === undefined) return text;
  return JSON.stringify(view.selectFields(parseJson(text) as JsonObject));
}

/**
 * JSON text of a state event for people who are not in the room yet.
 * https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
export function strippedEvent(event: Event): string {
  const { contentJson, sender, stateKey = '', type } = event;
  return `{"content":${contentJson},"sender":${quoted(sender)},"state_key":${quoted(stateKey)},"type":${quoted(type)}}`;
}

/** Everything but `unsigned`, without the closing brace. */
function openEvent(event: Event, roomId: string | undefined): string {
  const { contentJson, eventId, originServerTs, sender, stateKey, type } = event;
  let text = `{"content":${contentJson},"event_id":${quoted(eventId)},"origin_server_ts":${originServerTs}`;
  if (type === 'm.room.redaction') text += redactsOf(contentJson);
  if (roomId !== undefined) text += `,"room_id":${quoted(roomId)}`;
  text += `,"sender":${quoted(sender)}`;
  if (stateKey !== undefined) text += `,"state_key":${quoted(stateKey)}`;
  return `${text},"type":${quoted(type)}`;
}

/**
 * Clients of older room versions look for the redacted event at the top; rows have it in the content, whatever the version.
 * Source: rooms/v11, "Moving the redacts property of m.room.redaction events".
 */
function redactsOf(contentJson: string): string {
  const { redacts } = parseJson(contentJson) as JsonObject;
  return typeof redacts === 'string' ? `,"redacts":${quoted(redacts)}` : '';
}

/**
 * What somebody sees who was not in the room when the event came: of users who closed their account and wished to be forgotten,
 * no more than redaction leaves. Source: client-server API, `POST /account/deactivate`, `erase`.
 */
function asShown(view: EventView, event: Event, membership: string): Event {
  if (membership === 'join' || !isErasedUser(view.reader, event.sender)) return event;
  const rules = roomVersionRules(roomById(view.reader, event.room)?.version ?? '');
  const content = parseJson(event.contentJson) as JsonObject;
  const kept = rules ? redactContent({ type: event.type, content }, rules) : {};
  return { ...event, contentJson: JSON.stringify(kept) };
}

function unsignedOf(view: EventView, event: Event, membership: string): string {
  const { reader, visibility, viewer, nowMs } = view;
  let text = `"age":${nowMs - event.originServerTs},"membership":${quoted(membership)}`;
  if (event.replaces !== undefined) {
    const replaced = eventAt(reader, event.replaces);
    if (replaced !== undefined) {
      if (visibility.canSee(replaced)) {
        text += `,"prev_content":${asShown(view, replaced, visibility.membershipAt(replaced)).contentJson}`;
      }
      text += `,"replaces_state":${quoted(replaced.eventId)}`;
    }
  }
  if (event.redactedBy !== undefined) {
    const redaction = eventAt(reader, event.redactedBy);
    if (redaction !== undefined) {
      text += `,"redacted_because":${redactedBecause(view, redaction)}`;
      // Not in the specification; clients of other servers have come to look for it.
      text += `,"redacted_by":${quoted(redaction.eventId)}`;
    }
  }
  const bundled = view.bundles?.textFor(view, event);
  if (bundled !== undefined) text += `,"m.relations":${bundled}`;
  if (isOwnTransaction(event, viewer)) text += `,"transaction_id":${quoted(event.transaction.txnId)}`;
  return text;
}

/** The redaction as it is shown inside the event it redacted; it shows no events itself. */
function redactedBecause(view: EventView, redaction: Event): string {
  const age = view.nowMs - redaction.originServerTs;
  const membership = quoted(view.visibility.membershipAt(redaction));
  return `${openEvent(redaction, view.roomId)},"unsigned":{"age":${age},"membership":${membership}}}`;
}

/** Whether the event was sent by the very device that looks. */
export function isOwnTransaction(
  event: Event,
  viewer: Viewer,
): event is Event & { readonly transaction: NonNullable<Event['transaction']> } {
  return event.transaction?.deviceId === viewer.deviceKey && event.sender === viewer.userId;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
