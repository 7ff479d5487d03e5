import type { Reader } from '#projections/engine/reader.ts';
import { type Room, stateEventsOfType } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { isServerName } from '#protocol/server-name.ts';

/** Rooms of one space that are looked at; those of a larger one that come first in its order. */
export const MAX_CHILDREN = 2000;
/** Servers that are tried for one room. */
const MAX_VIA = 10;
const MAX_ORDER_CHARACTERS = 50;
/** Printable ASCII. */
const ORDER = /^[\x20-\x7e]+$/;

/** A link of a space to one of its rooms, as `children_state` shows it. */
export interface ChildLink {
  readonly type: 'm.space.child';
  readonly state_key: string;
  readonly content: JsonObject;
  readonly sender: string;
  /** Milliseconds since the epoch. */
  readonly origin_server_ts: number;
}

/** The valid links of a space, in the order in which its rooms are shown. Source: client-server API, "Ordering of children". */
export function childLinks(reader: Reader, room: Room, suggestedOnly: boolean): ChildLink[] {
  const links: ChildLink[] = [];
  for (const { stateKey = '', contentJson, sender, originServerTs } of stateEventsOfType(
    reader,
    room.id,
    'm.space.child',
  )) {
    const link = childLink({
      type: 'm.space.child',
      state_key: stateKey,
      content: parseJson(contentJson) as JsonObject,
      sender,
      origin_server_ts: originServerTs,
    });
    if (link !== undefined) links.push(link);
  }
  return inOrder(links, suggestedOnly);
}

/** A link from anywhere, if it is one: to a room, with servers to ask. */
export function childLink(link: unknown): ChildLink | undefined {
  if (!isJsonObject(link)) return undefined;
  const { type, state_key, content, sender, origin_server_ts } = link;
  const isLink =
    type === 'm.space.child' &&
    typeof state_key === 'string' &&
    isJsonObject(content) &&
    Array.isArray(content['via']) &&
    content['via'].length > 0 &&
    typeof sender === 'string' &&
    typeof origin_server_ts === 'number';
  return isLink ? { type, state_key, content, sender, origin_server_ts } : undefined;
}

/** Links sorted, those to suggested rooms only where wished. */
export function inOrder(links: readonly ChildLink[], suggestedOnly: boolean): ChildLink[] {
  return links
    .filter(({ content }) => !suggestedOnly || content['suggested'] === true)
    .sort(compareLinks)
    .slice(0, MAX_CHILDREN);
}

/** The servers that a link says know the room. */
export function viaOf({ content }: ChildLink): string[] {
  const via: readonly unknown[] = Array.isArray(content['via']) ? content['via'] : [];
  return via
    .filter((server) => typeof server === 'string')
    .filter(isServerName)
    .slice(0, MAX_VIA);
}

function compareLinks(a: ChildLink, b: ChildLink): number {
  const [orderA, orderB] = [orderOf(a), orderOf(b)];
  if (orderA !== orderB) {
    if (orderA === undefined) return 1;
    if (orderB === undefined) return -1;
    return orderA < orderB ? -1 : 1;
  }
  return a.origin_server_ts - b.origin_server_ts || (a.state_key < b.state_key ? -1 : 1);
}

function orderOf({ content }: ChildLink): string | undefined {
  const order = content['order'];
  return typeof order === 'string' && order.length <= MAX_ORDER_CHARACTERS && ORDER.test(order) ? order : undefined;
}
