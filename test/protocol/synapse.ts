import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { contentHash, eventIdOf, roomIdFromCreateEventId } from '#protocol/hashing.ts';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { type ResolutionEvent, resolutionEventOf } from '#protocol/state-resolution/index.ts';

/** One event of a fixture: type, state key, sender, content, prev events, auth events, depth, time, other members. */
type Row = readonly [
  type: string,
  stateKey: string | null,
  sender: string,
  content: JsonObject,
  prev: readonly number[],
  auth: readonly number[],
  depth: number,
  time: number,
  extra: JsonObject,
];

interface RoomFixture {
  readonly seed: number;
  readonly room?: string;
  readonly events: readonly Row[];
  readonly ids: readonly string[];
  readonly verdicts: readonly string[];
  readonly alone: string;
  readonly final: readonly number[];
  readonly before: readonly (readonly ['after' | 'resolved', number] | null)[];
  readonly resolve: readonly (readonly [states: readonly (readonly number[])[], outcome: readonly number[]])[];
}

/** A room of `test/fixtures/protocol`, with what Synapse made of it; see `generate.py` there. */
export interface SynapseRoom {
  readonly rules: RoomVersionRules;
  readonly seed: number;
  readonly roomId: string;
  readonly events: readonly SynapseEvent[];
  /** Index of the first event in the room with a given id. */
  readonly indexOf: ReadonlyMap<string, number>;
  readonly resolutions: readonly {
    readonly states: readonly (readonly number[])[];
    readonly outcome: readonly number[];
  }[];
  /** The events of the state after all forward extremities. */
  readonly final: readonly number[];
}

export interface SynapseEvent {
  readonly pdu: Pdu;
  readonly eventId: string;
  /** How Synapse's id of the event begins. */
  readonly expectedId: string;
  /** Whether Synapse allows it by the rules about its auth events; applied to their state; to the state before it. */
  readonly allowed: { readonly authEvents: boolean; readonly ownState: boolean; readonly stateBefore: boolean };
  readonly rejected: boolean;
  /** Whether Synapse allows it if every event is held against its own auth events only. */
  readonly allowedAlone: boolean;
  readonly authEvents: readonly number[];
  /** The events of the state before it. */
  readonly stateBefore: readonly number[];
  /** `undefined` if it is no state event. */
  readonly resolution: ResolutionEvent | undefined;
}

export function rulesOf(version: string): RoomVersionRules {
  const rules = roomVersionRules(version);
  if (rules === undefined) throw new Error(`No rules of room version ${version}.`);
  return rules;
}

function fixtureText(name: string): string {
  const path = fileURLToPath(new URL(`../fixtures/protocol/${name}.json.gz`, import.meta.url));
  return gunzipSync(readFileSync(path)).toString();
}

/** Event, start of its reference hash, content hash, redacted event. With the numbers as Synapse wrote them. */
export function synapseEvents(version: string): [Pdu, string, string, JsonObject][] {
  return parseJsonExactly(fixtureText(`events-${version}`)) as unknown as [Pdu, string, string, JsonObject][];
}

export function synapseRooms(version: string): SynapseRoom[] {
  const rules = rulesOf(version);
  const fixtures = JSON.parse(fixtureText(`graphs-${version}`)) as RoomFixture[];
  return fixtures.map((fixture) => roomOf(fixture, rules));
}

const SIGNATURES = { 'a.org': { 'ed25519:k': 'x' }, 'b.org': { 'ed25519:k': 'x' }, 'c.org:8448': { 'ed25519:k': 'x' } };

function roomOf(fixture: RoomFixture, rules: RoomVersionRules): SynapseRoom {
  const events: SynapseEvent[] = [];
  const after: (readonly number[])[] = [];
  const indexOf = new Map<string, number>();
  let roomId = fixture.room ?? '';
  for (const [index, row] of fixture.events.entries()) {
    const pdu = pduOf(row, roomId, events, rules);
    const eventId = eventIdOf(pdu, rules);
    if (roomId === '') roomId = roomIdFromCreateEventId(eventId);
    const verdict = fixture.verdicts[index] as string;
    const rejected = verdict !== '111';
    const source = fixture.before[index];
    const stateBefore =
      source === null || source === undefined
        ? []
        : ((source[0] === 'after' ? after[source[1]] : fixture.resolve[source[1]]?.[1]) ?? []);
    const isSame = (other: number): boolean =>
      fixture.events[other]?.[0] === row[0] && fixture.events[other]?.[1] === row[1];
    const isNewState = !rejected && row[1] !== null;
    after.push(isNewState ? [...stateBefore.filter((other) => !isSame(other)), index] : stateBefore);
    indexOf.set(eventId, index);
    events.push({
      pdu,
      eventId,
      expectedId: fixture.ids[index] as string,
      allowed: { authEvents: verdict[0] === '1', ownState: verdict[1] === '1', stateBefore: verdict[2] === '1' },
      rejected,
      allowedAlone: fixture.alone[index] === '1',
      authEvents: row[5],
      stateBefore,
      resolution: resolutionEventOf(pdu, eventId, roomId, rejected, rules),
    });
  }
  const resolutions = fixture.resolve.map(([states, outcome]) => ({ states, outcome }));
  return { rules, seed: fixture.seed, roomId, events, indexOf, resolutions, final: fixture.final };
}

function pduOf(row: Row, roomId: string, events: readonly SynapseEvent[], rules: RoomVersionRules): Pdu {
  const [type, stateKey, sender, content, prev, auth, depth, time, extra] = row;
  const reference = (index: number): string | [string, JsonObject] => {
    const { eventId } = events[index] as SynapseEvent;
    return rules.eventFormat.referencesHoldHashes ? [eventId, { sha256: 'x' }] : eventId;
  };
  const event: JsonObject = {
    type,
    sender,
    content,
    prev_events: prev.map(reference),
    auth_events: auth.map(reference),
    depth,
    origin_server_ts: time,
    ...(stateKey === null ? {} : { state_key: stateKey }),
    ...(roomId === '' || (type === 'm.room.create' && !rules.eventFormat.createEventHasRoomId)
      ? {}
      : { room_id: roomId }),
    ...extra,
  };
  return { ...event, hashes: { sha256: contentHash(event, rules) }, signatures: SIGNATURES } as unknown as Pdu;
}
