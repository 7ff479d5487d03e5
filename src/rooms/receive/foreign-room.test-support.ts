/** A room on other servers, for tests: it makes signed events with any place in the graph, and knows by a slow and plain way what the state around each is. */

import { authEventTypes } from '#protocol/auth/auth-events.ts';
import { checkAuth } from '#protocol/auth/check-auth.ts';
import type { AuthEvent, StateLookup } from '#protocol/auth/types.ts';
import { buildEvent } from '#protocol/build-event.ts';
import { authEventIdsOf, eventReference, prevEventIdsOf } from '#protocol/event-references.ts';
import { referenceHash } from '#protocol/hashing.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { type SigningKey, signingKeyFromSeed } from '#protocol/signing.ts';
import {
  plainAuthGraph,
  type ResolutionEvent,
  resolutionEventOf,
  resolveStates,
  type StateEntry,
} from '#protocol/state-resolution/index.ts';
import type { KeySource, MissingEvents, ReceivingRoom, VerifyKey } from './types.ts';

export const ANN = '@ann:a.org';
export const BOB = '@bob:b.org';
export const LOCAL = '@local:localhost';

/** What a test says of an event. */
export interface ForeignEventSpec {
  readonly sender: string;
  readonly type: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
  /** Default: the newest events. */
  readonly prev?: readonly string[];
  /** Default: what the state before the event selects. */
  readonly auth?: readonly string[];
  readonly depth?: number;
}

/** An event of a foreign room, with the state around it by id. */
export interface ForeignEvent {
  readonly eventId: string;
  readonly pdu: Pdu;
  readonly before: ReadonlyMap<string, string>;
  readonly after: ReadonlyMap<string, string>;
  /** Whether the rules let it in where it stands. */
  readonly isAllowed: boolean;
}

export class ForeignRoom {
  readonly rules: RoomVersionRules;
  roomId: string;
  readonly events = new Map<string, ForeignEvent>();
  /** Ids of the events that no allowed event follows. */
  ends: string[] = [];
  #clock = 1_700_000_000_000;
  #serial = 0;

  constructor(version = '12', { ann = ANN, bob = BOB }: { readonly ann?: string; readonly bob?: string } = {}) {
    const rules = roomVersionRules(version);
    if (rules === undefined) throw new Error(`room version ${version} is not known`);
    this.rules = rules;
    this.roomId = `!room:${serverNameOf(ann)}`;
    const created = this.add({
      sender: ann,
      type: 'm.room.create',
      stateKey: '',
      content: this.#createContent(ann),
      prev: [],
    });
    if (rules.roomIdFormat === 'create_event_hash') this.roomId = `!${created.eventId.slice(1)}`;
    this.add({ sender: ann, type: 'm.room.member', stateKey: ann, content: { membership: 'join' } });
    const users = rules.authorization.privilegedCreators ? { [bob]: 50 } : { [ann]: 100, [bob]: 50 };
    this.add({ sender: ann, type: 'm.room.power_levels', stateKey: '', content: { users } });
    this.add({ sender: ann, type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } });
    this.add({ sender: bob, type: 'm.room.member', stateKey: bob, content: { membership: 'join' } });
  }

  get room(): ReceivingRoom {
    return { roomId: this.roomId, rules: this.rules };
  }

  get last(): string {
    return this.ends.at(-1) ?? '';
  }

  /** Makes an event; it need not be allowed. */
  add(spec: ForeignEventSpec): ForeignEvent {
    const { sender, type, stateKey, content = {} } = spec;
    const prev = spec.prev ?? this.ends.slice(0, 20);
    const before = this.resolve(prev.map((eventId) => this.#event(eventId).after));
    const unlinked = {
      type,
      sender,
      content,
      ...(stateKey !== undefined && { state_key: stateKey }),
      ...(this.#isNamedByHash(type) ? {} : { room_id: this.roomId }),
      ...(this.rules.eventIdFormat === 'opaque_with_domain' && {
        event_id: `$event${++this.#serial}:${serverNameOf(sender)}`,
      }),
    };
    const auth =
      spec.auth ??
      authEventTypes(unlinked, this.rules).flatMap((key) => before.get(keyOf(key.type, key.stateKey)) ?? []);
    const reference = (eventId: string) =>
      eventReference(
        eventId,
        () => referenceHash(redact(this.#event(eventId).pdu, this.rules), this.rules),
        this.rules,
      );
    const server = serverNameOf(sender) ?? '';
    const { pdu, eventId } = buildEvent(
      {
        ...unlinked,
        origin_server_ts: this.#clock++,
        depth: spec.depth ?? 1 + Math.max(0, ...prev.map((id) => this.#event(id).pdu.depth)),
        prev_events: prev.map(reference),
        auth_events: auth.map(reference),
      },
      this.rules,
      server,
      keyOfServer(server),
    );
    return this.#take(pdu, eventId, prev, auth);
  }

  /** Takes in an event that another server made. */
  adopt(pdu: Pdu, eventId: string): ForeignEvent {
    return this.#take(pdu, eventId, prevEventIdsOf(pdu, this.rules), authEventIdsOf(pdu, this.rules));
  }

  #take(pdu: Pdu, eventId: string, prev: readonly string[], auth: readonly string[]): ForeignEvent {
    const { type, state_key: stateKey } = pdu;
    const before = this.resolve(prev.map((id) => this.#event(id).after));
    const input = { ...pdu, prev_events: prev };
    const byAuthEvents = this.#lookupAmong([...auth, ...this.#impliedCreate(before)]);
    const isAllowed =
      auth.every((id) => this.#event(id).isAllowed) &&
      checkAuth(input, byAuthEvents, this.rules).allowed &&
      checkAuth(input, this.#lookupAmong([...before.values()]), this.rules).allowed;
    const after = new Map(before);
    if (isAllowed && stateKey !== undefined) after.set(keyOf(type, stateKey), eventId);
    const event: ForeignEvent = { eventId, pdu, before, after, isAllowed };
    this.events.set(eventId, event);
    if (isAllowed) this.ends = [...this.ends.filter((end) => !prev.includes(end)), eventId];
    return event;
  }

  /** Puts an event of a server under test at the end, as if it were allowed. */
  take(eventId: string, pdu: Pdu): void {
    const prev = prevIdsOf(pdu, this.rules);
    const before = this.resolve(prev.map((id) => this.#event(id).after));
    const after = new Map(before);
    if (pdu.state_key !== undefined) after.set(keyOf(pdu.type, pdu.state_key), eventId);
    this.events.set(eventId, { eventId, pdu, before, after, isAllowed: true });
    this.ends = [...this.ends.filter((end) => !prev.includes(end)), eventId];
  }

  /** What states come to, as state resolution says. */
  resolve(states: readonly ReadonlyMap<string, string>[]): ReadonlyMap<string, string> {
    const [first] = states;
    if (first === undefined) return new Map();
    if (states.length === 1) return first;
    const lookup = (eventId: string): ResolutionEvent | undefined => {
      const event = this.events.get(eventId);
      return event && resolutionEventOf(event.pdu, eventId, this.roomId, !event.isAllowed, this.rules);
    };
    const { state } = resolveStates(
      states.map((state) => [...state].map(([key, eventId]) => ({ ...slotOf(key), eventId }))),
      { rules: this.rules, event: lookup, graph: plainAuthGraph(lookup, this.rules) },
    );
    return new Map(state.map(({ type, stateKey, eventId }: StateEntry) => [keyOf(type, stateKey), eventId]));
  }

  /** Whether the rules let an event in where the state is this one. */
  isAllowedIn({ pdu }: ForeignEvent, state: ReadonlyMap<string, string>): boolean {
    const input = { ...pdu, prev_events: prevEventIdsOf(pdu, this.rules) };
    return checkAuth(input, this.#lookupAmong([...state.values()]), this.rules).allowed;
  }

  /** The events, and all that authorises them, as another server would tell them. */
  withAuthChain(eventIds: Iterable<string>): JsonObject[] {
    const found = new Map<string, JsonObject>();
    const pending = [...eventIds];
    for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
      if (found.has(id)) continue;
      const { pdu, before } = this.#event(id);
      found.set(id, pdu);
      pending.push(...authIdsOf(pdu, this.rules), ...(pdu.type === 'm.room.create' ? [] : this.#impliedCreate(before)));
    }
    return [...found.values()];
  }

  #impliedCreate(before: ReadonlyMap<string, string>): string[] {
    const create = before.get(keyOf('m.room.create', ''));
    return this.rules.eventFormat.createEventInAuthEvents || create === undefined ? [] : [create];
  }

  #createContent(creator: string): JsonObject {
    return {
      room_version: this.rules.version,
      ...(this.rules.authorization.creatorInContent && { creator }),
    };
  }

  #isNamedByHash(type: string): boolean {
    return type === 'm.room.create' && this.rules.roomIdFormat === 'create_event_hash';
  }

  #event(eventId: string): ForeignEvent {
    const event = this.events.get(eventId);
    if (event === undefined) throw new Error(`there is no event ${eventId}`);
    return event;
  }

  #lookupAmong(eventIds: readonly string[]): StateLookup {
    const found = new Map<string, AuthEvent>();
    for (const eventId of eventIds) {
      const { pdu } = this.#event(eventId);
      const { type, state_key: stateKey, sender, content } = pdu;
      if (stateKey !== undefined) found.set(keyOf(type, stateKey), { eventId, type, stateKey, sender, content });
    }
    return (type, stateKey) => found.get(keyOf(type, stateKey));
  }
}

/** Gives what a foreign room has, as far as `knows` says that its server tells. */
export function missingEventsOf(foreign: ForeignRoom, asked: string[] = []): MissingEvents {
  return {
    between: async (_room, _origin, { earliest, latest, limit }) => {
      asked.push('between');
      const found = new Map<string, Pdu>();
      const pending = [...latest];
      for (let id = pending.shift(); id !== undefined && found.size < limit; id = pending.shift()) {
        const event = foreign.events.get(id);
        if (event === undefined || earliest.includes(id) || found.has(id)) continue;
        if (!latest.includes(id)) found.set(id, event.pdu);
        pending.push(...prevIdsOf(event.pdu, foreign.rules));
      }
      return [...found.values()].sort((a, b) => a.depth - b.depth);
    },
    stateBefore: async (_room, _origin, eventId) => {
      asked.push('stateBefore');
      const event = foreign.events.get(eventId);
      return event && { stateEventIds: [...event.before.values()], authEventIds: [] };
    },
    stateEventsBefore: async (_room, _origin, eventId) => {
      asked.push('stateEventsBefore');
      const event = foreign.events.get(eventId);
      return event === undefined ? [] : foreign.withAuthChain(event.before.values());
    },
    events: async (_room, _origin, eventIds) => {
      asked.push('events');
      return eventIds.flatMap((eventId) => foreign.events.get(eventId)?.pdu ?? []);
    },
  };
}

/** Knows the keys of every server there may be. */
export const allKeys: KeySource = {
  keysFor: async (requests) => {
    const keys = new Map<string, Map<string, VerifyKey>>();
    for (const { serverName } of requests) {
      const key = { publicKey: keyOfServer(serverName).publicKey, validity: { validUntilTs: Number.MAX_SAFE_INTEGER } };
      keys.set(serverName, new Map([['ed25519:1', key]]));
    }
    return keys;
  },
};

/** The signing key of a server. */
export function keyOfServer(server: string): SigningKey {
  const seed = Buffer.alloc(32);
  seed.write(server);
  return signingKeyFromSeed('ed25519:1', seed);
}

/** Names a key of a state map. */
export function keyOf(type: string, stateKey: string): string {
  return JSON.stringify([type, stateKey]);
}

function slotOf(key: string): { readonly type: string; readonly stateKey: string } {
  const [type, stateKey] = JSON.parse(key) as [string, string];
  return { type, stateKey };
}

function authIdsOf(pdu: Pdu, rules: RoomVersionRules): string[] {
  return rules.eventFormat.referencesHoldHashes
    ? (pdu.auth_events as unknown as [string][]).map(([id]) => id)
    : [...(pdu.auth_events as readonly string[])];
}

function prevIdsOf(pdu: Pdu, rules: RoomVersionRules): string[] {
  return rules.eventFormat.referencesHoldHashes
    ? (pdu.prev_events as unknown as [string][]).map(([id]) => id)
    : [...(pdu.prev_events as readonly string[])];
}
