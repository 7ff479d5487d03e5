/** How many events of other servers one core checks in a second: parsed, hashed, their signatures verified, authorised. */

import {
  type AuthEvent,
  authEventTypes,
  checkAuth,
  checkAuthEvents,
  type NamedAuthEvent,
  type StateLookup,
} from '#protocol/auth/index.ts';
import { buildEvent, type EventDraft } from '#protocol/build-event.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { checkEventFormat } from '#protocol/event-format.ts';
import { authEventIdsOf, authInputOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId, eventIdOf, hasValidContentHash, roomIdFromCreateEventId } from '#protocol/hashing.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import {
  requiredSigners,
  type SigningKey,
  signingKeyFromSeed,
  verifyEventSignature,
  verifySignature,
} from '#protocol/signing.ts';
import type { BenchResult } from './result.ts';

const ROOM_VERSION = '12';
const MEMBERS = 1_000;
/** Users of the room are on so many servers, each with a key of its own. */
const SERVERS = 50;
/** Events that are checked: one in ten is a member's new name, the rest are messages. */
const EVENTS = 20_000;
const STATE_EVENT_EVERY = 10;
/** Checks before the clock starts, so that V8 has compiled what is hot. */
const WARM_UP_EVENTS = 5_000;
/** Events that are checked before as many bare signatures are, and so on. */
const TURN_EVENTS = 500;
const KEY_ID = 'ed25519:bench';

/** Runs on the one thread of this process. */
export async function runEventChecksBench(): Promise<BenchResult> {
  const room = new BenchRoom();
  const texts = Array.from({ length: EVENTS }, (_, index) => room.nextText(index));
  for (const text of texts.slice(0, WARM_UP_EVENTS)) room.check(text);
  verifications(WARM_UP_EVENTS);
  // In turns, so that what else the machine does counts against both alike.
  let checksUs = 0;
  let verificationsUs = 0;
  for (let from = 0; from < texts.length; from += TURN_EVENTS) {
    checksUs += cpuUsOf(() => {
      for (const text of texts.slice(from, from + TURN_EVENTS)) room.check(text);
    });
    verificationsUs += cpuUsOf(() => verifications(TURN_EVENTS));
  }
  const figure = Math.round((texts.length * 1e6) / checksUs);
  const ceiling = Math.round((texts.length * 1e6) / verificationsUs);
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return {
    name: 'event checks: parse, hash, verify, authorise',
    figure,
    unit: 'events/s',
    ceiling,
    ceilingName: 'bare Ed25519 verifications of 500 bytes',
    ratio: figure / ceiling,
    details: {
      events: texts.length,
      'µs an event beside the signature': Math.round((checksUs - verificationsUs) / texts.length),
      'bytes an event': Math.round(bytes / texts.length),
      members: MEMBERS,
    },
  };
}

/** CPU time of this process, in microseconds. */
function cpuUsOf(work: () => void): number {
  const started = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(started);
  return user + system;
}

const BARE_KEY = signingKeyFromSeed(KEY_ID, new Uint8Array(32));
const BARE_BYTES = new Uint8Array(500);
const BARE_SIGNATURE = BARE_KEY.sign(BARE_BYTES);

function verifications(count: number): void {
  for (let index = 0; index < count; index += 1) verifySignature(BARE_BYTES, BARE_SIGNATURE, BARE_KEY.publicKey);
}

/** A room whose servers sign what their users send. */
class BenchRoom {
  readonly #rules = rulesOf(ROOM_VERSION);
  readonly #keys = new Map<string, SigningKey>(
    Array.from({ length: SERVERS }, (_, server) => [
      serverName(server),
      signingKeyFromSeed(KEY_ID, new Uint8Array(32).fill(server + 1)),
    ]),
  );
  readonly #roomId: string;
  readonly #byId = new Map<string, NamedAuthEvent & AuthEvent>();
  /** Type → state key → event. */
  readonly #state = new Map<string, Map<string, NamedAuthEvent & AuthEvent>>();
  readonly #lookup: StateLookup = (type, stateKey) => this.#state.get(type)?.get(stateKey);
  #last: string[] = [];
  #depth = 0;

  constructor() {
    const creator = userOf(0);
    const created = this.#send(creator, 'm.room.create', '', { room_version: ROOM_VERSION });
    this.#roomId = roomIdFromCreateEventId(created);
    this.#takeIn(created, 'm.room.create', '', creator, { room_version: ROOM_VERSION });
    this.#sendState(creator, 'm.room.member', creator, { membership: 'join' });
    this.#sendState(creator, 'm.room.power_levels', '', { users: { [userOf(1)]: 50 }, events: { 'm.room.name': 50 } });
    this.#sendState(creator, 'm.room.join_rules', '', { join_rule: 'public' });
    for (let user = 1; user < MEMBERS; user += 1) {
      this.#sendState(userOf(user), 'm.room.member', userOf(user), { membership: 'join', displayname: `User ${user}` });
    }
  }

  /** The text of an event that some member sends. */
  nextText(index: number): string {
    const sender = userOf((index * 7) % MEMBERS);
    const draft =
      index % STATE_EVENT_EVERY === 0
        ? this.#draft(sender, 'm.room.member', sender, { membership: 'join', displayname: `Name ${index}` })
        : this.#draft(sender, 'm.room.message', undefined, {
            msgtype: 'm.text',
            body: `Message ${index}: nothing to see here, move along, and mind the gap between the train and the platform.`,
          });
    const { pdu, eventId } = this.#build(draft);
    this.#last = [eventId];
    // From bytes, as it comes from the network: V8 would keep what was put together as a tree of pieces.
    return Buffer.from(canonicalJson(pdu)).toString();
  }

  /** What is done with each event of a transaction, but for the database. @throws if it is not accepted */
  check(text: string): void {
    const rules = this.#rules;
    const form = checkEventFormat(parseJson(text) as JsonObject, rules);
    if (!form.valid) throw new Error(form.reason);
    const { pdu, texts } = form;
    const eventId = eventIdOf(pdu, rules, texts);
    for (const server of requiredSigners(pdu, rules)) {
      const key = this.#keyOf(server);
      if (!verifyEventSignature(pdu, rules, server, key.keyId, key.publicKey, texts))
        throw new Error('wrong signature');
    }
    if (!hasValidContentHash(pdu, rules, texts)) throw new Error('wrong hash');
    this.#authorise(pdu, eventId);
  }

  #authorise(pdu: Pdu, eventId: string): void {
    const rules = this.#rules;
    const input = authInputOf(pdu, rules);
    const named = authEventIdsOf(pdu, rules).flatMap((id) => this.#byId.get(id) ?? []);
    const create = this.#byId.get(createEventIdFromRoomId(this.#roomId));
    const own = create === undefined ? named : [create, ...named];
    const lookupOwn: StateLookup = (type, stateKey) =>
      own.find((event) => event.type === type && event.stateKey === stateKey);
    const verdicts = [
      checkAuthEvents(input, this.#roomId, named, create, rules),
      checkAuth(input, lookupOwn, rules),
      // The state before it, which is the current state.
      checkAuth(input, this.#lookup, rules),
    ];
    const refusal = verdicts.find(({ allowed }) => !allowed);
    if (refusal !== undefined) throw new Error(`${eventId}: ${JSON.stringify(refusal)}`);
  }

  #sendState(sender: string, type: string, stateKey: string, content: JsonObject): void {
    this.#takeIn(this.#send(sender, type, stateKey, content), type, stateKey, sender, content);
  }

  #send(sender: string, type: string, stateKey: string, content: JsonObject): string {
    const { eventId } = this.#build(this.#draft(sender, type, stateKey, content));
    this.#last = [eventId];
    return eventId;
  }

  #takeIn(eventId: string, type: string, stateKey: string, sender: string, content: JsonObject): void {
    const event = { eventId, type, stateKey, sender, content, roomId: this.#roomId, rejected: false };
    this.#byId.set(eventId, event);
    const ofType = this.#state.get(type) ?? new Map<string, NamedAuthEvent & AuthEvent>();
    this.#state.set(type, ofType.set(stateKey, event));
  }

  #draft(sender: string, type: string, stateKey: string | undefined, content: JsonObject): EventDraft {
    const about = { type, sender, content, ...(stateKey === undefined ? {} : { state_key: stateKey }) };
    this.#depth += 1;
    return {
      ...about,
      ...(type === 'm.room.create' ? {} : { room_id: this.#roomId }),
      origin_server_ts: 1_700_000_000_000 + this.#depth,
      depth: this.#depth,
      prev_events: this.#last,
      auth_events: authEventTypes(about, this.#rules).flatMap(
        (slot) => this.#lookup(slot.type, slot.stateKey)?.eventId ?? [],
      ),
    };
  }

  #build(draft: EventDraft) {
    const server = serverNameOf(draft.sender) ?? '';
    return buildEvent(draft, this.#rules, server, this.#keyOf(server));
  }

  #keyOf(server: string): SigningKey {
    const key = this.#keys.get(server);
    if (key === undefined) throw new Error(`${server} has no key.`);
    return key;
  }
}

function userOf(user: number): string {
  return `@user${user}:${serverName(user % SERVERS)}`;
}

function serverName(server: number): string {
  return `s${server}.example.org`;
}

function rulesOf(version: string): RoomVersionRules {
  const rules = roomVersionRules(version);
  if (rules === undefined) throw new Error(`There is no room version ${version}.`);
  return rules;
}
