/** What tests do in rooms that two kinds of servers share. */
import { expect } from 'vitest';

/** An object of an answer. */
export type Json = Record<string, unknown>;

/** An event as clients see it. */
export interface RoomEvent {
  readonly event_id: string;
  readonly type: string;
  readonly state_key?: string;
  readonly sender: string;
  readonly content: Json;
}

/** Long enough for a slow machine. */
export const SLOW_MS = 180_000;
/** A path below a room. */
export const path = (roomId: string, rest: string) => `/rooms/${encodeURIComponent(roomId)}${rest}`;
/** Somebody who calls the client API of their server; throws unless the answer is 200. */
export interface Caller {
  readonly userId: string;
  call(method: string, at: string, body?: object): Promise<Json>;
}

let serial = 0;

/** Polls until a claim holds: what one server does reaches the other when it does. */
export const eventually = <T>(read: () => Promise<T>) => expect.poll(read, { timeout: 60_000, interval: 100 });

/** Says something in a room. @returns the event's id */
export async function say(who: Caller, roomId: string, body: string): Promise<string> {
  const sent = await who.call('PUT', path(roomId, `/send/m.room.message/t${++serial}`), { msgtype: 'm.text', body });
  return String(sent['event_id']);
}

/** The content of a state event, or what there is in its place. */
export function stateOf(who: Caller, roomId: string, type: string, stateKey = ''): Promise<Json | undefined> {
  return who
    .call('GET', path(roomId, `/state/${type}/${encodeURIComponent(stateKey)}`))
    .catch((error: Error) => ({ error: error.message }));
}

/** Where a user stands in a room, as somebody sees it. */
export async function membershipOf(who: Caller, roomId: string, userId: string): Promise<unknown> {
  return (await stateOf(who, roomId, 'm.room.member', userId))?.['membership'];
}

/** The rooms that somebody is in. */
export async function joinedRooms(who: Caller): Promise<unknown> {
  return (await who.call('GET', '/joined_rooms'))['joined_rooms'];
}

/** Everything of a room's past that the server gives, the newest first. */
export async function history(who: Caller, roomId: string): Promise<RoomEvent[]> {
  const events: RoomEvent[] = [];
  let from = '';
  for (let page = 0; page < 40; page += 1) {
    const answer = await who.call('GET', path(roomId, `/messages?dir=b&limit=50${from}`));
    events.push(...(answer['chunk'] as RoomEvent[]));
    if (typeof answer['end'] !== 'string') break;
    from = `&from=${encodeURIComponent(answer['end'])}`;
  }
  return events;
}

/** All that was said in a room, the newest first. */
export async function bodies(who: Caller, roomId: string): Promise<unknown[]> {
  return (await history(who, roomId))
    .filter(({ type }) => type === 'm.room.message')
    .map(({ content }) => content['body']);
}

/** The ids of the state of a room, sorted: equal on servers that agree. */
export async function stateIds(who: Caller, roomId: string): Promise<string[]> {
  const state = (await who.call('GET', path(roomId, '/state'))) as unknown as RoomEvent[];
  return state.map(({ event_id: id }) => id).sort();
}

/** Joins a room through a server. */
export function joinBy(who: Caller, roomId: string, via: string): Promise<Json> {
  return who.call(
    'POST',
    `/join/${encodeURIComponent(roomId)}?via=${encodeURIComponent(via)}&server_name=${encodeURIComponent(via)}`,
    {},
  );
}

/** Makes a room. */
export async function create(who: Caller, settings: object): Promise<string> {
  return String((await who.call('POST', '/createRoom', settings))['room_id']);
}

/** The `join` part of a first sync, for one room. */
export async function syncOf(who: Caller, roomId: string): Promise<Json | undefined> {
  const sync = (await who.call('GET', '/sync')) as { rooms?: { join?: Record<string, Json> } };
  return sync.rooms?.join?.[roomId];
}
