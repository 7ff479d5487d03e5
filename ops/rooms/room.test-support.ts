import type { JsonObject } from '#protocol/pdu.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { type RoomEvent, readRoomEvent } from './room-event.ts';

export const ROOM_ID = '!create';
export const ANN = '@ann:a.org';

export function rulesOf(version: string): RoomVersionRules {
  const rules = roomVersionRules(version);
  if (rules === undefined) throw new Error(`There is no room version ${version}.`);
  return rules;
}

/** What a test says of an event; the rest is filled up. */
export interface EventSpec {
  readonly id: string;
  readonly type?: string;
  /** `null` for a message. */
  readonly stateKey?: string | null;
  readonly sender?: string;
  readonly content?: JsonObject;
  readonly prev?: readonly string[];
  readonly auth?: readonly string[];
  readonly at?: number;
  readonly depth?: number;
}

/** PDUs of one room, with ids as tests like them. */
export class RoomFile {
  readonly pdus: JsonObject[] = [];
  readonly rules: RoomVersionRules;

  constructor(version: string) {
    this.rules = rulesOf(version);
    this.add({ id: '$create', type: 'm.room.create', content: { creator: ANN, room_version: version } });
    this.add({ id: '$ann', type: 'm.room.member', stateKey: ANN, content: { membership: 'join' }, prev: ['$create'] });
    const users = this.rules.authorization.privilegedCreators ? {} : { [ANN]: 100 };
    this.add({ id: '$levels', type: 'm.room.power_levels', content: { users }, prev: ['$ann'], auth: ['$ann'] });
    this.add({
      id: '$rules',
      type: 'm.room.join_rules',
      content: { join_rule: 'public' },
      prev: ['$levels'],
      auth: ['$ann', '$levels'],
    });
  }

  add(spec: EventSpec): string {
    const { id, type = 'm.room.topic', stateKey = '', sender = ANN, content = {}, prev = [], auth = [] } = spec;
    const isCreate = type === 'm.room.create';
    const { createEventInAuthEvents, referencesHoldHashes } = this.rules.eventFormat;
    const named = createEventInAuthEvents && !isCreate ? ['$create', ...auth] : auth;
    const reference = (eventId: string) => (referencesHoldHashes ? [eventId, { sha256: 'x' }] : eventId);
    this.pdus.push({
      event_id: id,
      type,
      sender,
      content,
      ...(stateKey === null ? {} : { state_key: stateKey }),
      ...(isCreate && !this.rules.eventFormat.createEventHasRoomId
        ? {}
        : { room_id: isCreate ? '!create:a.org' : this.#roomId }),
      prev_events: prev.map(reference),
      auth_events: named.map(reference),
      origin_server_ts: spec.at ?? this.pdus.length,
      depth: spec.depth ?? this.pdus.length,
    });
    return id;
  }

  join(user: string, prev: readonly string[], id = `$${user}`): string {
    const content = { membership: 'join' };
    return this.add({
      id,
      type: 'm.room.member',
      stateKey: user,
      sender: user,
      content,
      prev,
      auth: ['$levels', '$rules'],
    });
  }

  topic(id: string, prev: readonly string[]): string {
    return this.add({ id, content: { topic: id }, prev, auth: ['$ann', '$levels'] });
  }

  events(): Map<string, RoomEvent> {
    return new Map(
      this.pdus.map((pdu, index) => {
        const event = readRoomEvent(pdu, `room.json[${index}]`, this.rules);
        return [event.eventId, event];
      }),
    );
  }

  get #roomId(): string {
    return this.rules.eventFormat.createEventHasRoomId ? '!create:a.org' : ROOM_ID;
  }
}
