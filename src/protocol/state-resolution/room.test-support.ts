import type { JsonObject } from '../pdu.ts';
import type { RoomVersionRules } from '../room-version.ts';
import { plainAuthGraph } from './plain-auth-graph.ts';
import type { StateEntry } from './resolve.ts';
import type { EventLookup, ResolutionContext, ResolutionEvent } from './types.ts';

/** What a test says of an event; the rest is filled up. */
export interface EventSpec {
  readonly id: string;
  readonly type: string;
  readonly stateKey?: string;
  readonly sender?: string;
  readonly content?: JsonObject;
  readonly auth?: readonly string[];
  readonly prev?: readonly string[];
  readonly at?: number;
  readonly depth?: number;
  readonly rejected?: boolean;
}

export const ROOM_ID = '!create';
export const CREATE_ID = '$create';
export const ANN = '@ann:a.org';
export const BOB = '@bob:b.org';

/** Events of one room, by id. */
export class TestRoom {
  readonly #events = new Map<string, ResolutionEvent>();
  readonly rules: RoomVersionRules;
  readonly lookup: EventLookup = (eventId) => this.#events.get(eventId);

  constructor(rules: RoomVersionRules) {
    this.rules = rules;
    this.add({ id: CREATE_ID, type: 'm.room.create', content: { creator: ANN, room_version: rules.version } });
  }

  add(spec: EventSpec): ResolutionEvent {
    const { id, type, stateKey = '', sender = ANN, content = {}, auth = [], prev = ['$prev'], at = 0 } = spec;
    const { depth = 1, rejected = false } = spec;
    const event: ResolutionEvent = {
      eventId: id,
      roomId: ROOM_ID,
      type,
      stateKey,
      sender,
      content,
      authEventIds: this.rules.eventFormat.createEventInAuthEvents
        ? type === 'm.room.create'
          ? auth
          : [CREATE_ID, ...auth]
        : auth,
      prevEventIds: type === 'm.room.create' ? [] : prev,
      originServerTs: at,
      depth,
      rejected,
    };
    this.#events.set(id, event);
    return event;
  }

  /** Joins of the usual two, power levels, and a public join rule. */
  addUsual(): readonly string[] {
    this.add({ id: '$ann', type: 'm.room.member', stateKey: ANN, content: { membership: 'join' }, prev: [CREATE_ID] });
    const users = this.rules.authorization.privilegedCreators ? { [BOB]: 50 } : { [ANN]: 100, [BOB]: 50 };
    this.add({ id: '$levels', type: 'm.room.power_levels', content: { users }, auth: ['$ann'] });
    this.add({
      id: '$rules',
      type: 'm.room.join_rules',
      content: { join_rule: 'public' },
      auth: ['$ann', '$levels'],
    });
    this.add({
      id: '$bob',
      type: 'm.room.member',
      stateKey: BOB,
      sender: BOB,
      content: { membership: 'join' },
      auth: ['$levels', '$rules'],
    });
    return [CREATE_ID, '$ann', '$levels', '$rules', '$bob'];
  }

  state(...eventIds: readonly string[]): StateEntry[] {
    return eventIds.map((eventId) => {
      const event = this.lookup(eventId);
      if (event === undefined) throw new Error(`${eventId} is not in the room.`);
      return event;
    });
  }

  context(trace = false): ResolutionContext {
    return { rules: this.rules, event: this.lookup, graph: plainAuthGraph(this.lookup, this.rules), trace };
  }
}
