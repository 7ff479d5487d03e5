import { describe, expect, test } from 'vitest';
import type { AuthEvent, NamedAuthEvent, StateLookup } from '#protocol/auth/index.ts';
import { checkAuth, checkAuthEvents } from '#protocol/auth/index.ts';
import { authInputOf } from '#protocol/event-references.ts';
import { contentHash, createEventIdFromRoomId, referenceHash } from '#protocol/hashing.ts';
import { redact } from '#protocol/redaction.ts';
import { SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import { plainAuthGraph, resolveStates } from '#protocol/state-resolution/index.ts';
import { rulesOf, type SynapseEvent, type SynapseRoom, synapseEvents, synapseRooms } from './synapse.ts';

/*
 * Rooms must not split: where Synapse, and with it most of the network, answers otherwise than the letter of the
 * specification, we answer as it does.
 * - A state's own events count as part of its auth chains, the create event counts as a power event, and power levels and
 *   join rules are power events only with an empty state key.
 * - Power levels with a state key are compared with no others.
 * - Events that were rejected stay out of the state in resolution; create events are held against no state.
 * - Levels before version 10 may be truth values and have underscores between digits.
 * - The keys of "users" in the power levels need not name a valid server.
 * - A redaction of version 1 or 2 without a text as `redacts` takes no power: it redacts nothing.
 * - A room that is closed to other servers takes no memberships of their users either, and any `m.federate` but `true`
 *   closes it.
 * - The target of a membership has to have a server in its id.
 * - A signature of who vouches for a join is asked for on joins only.
 * - Numbers in events before version 6 are hashed as Python writes them: `1.0` is not `1`. An integer may have 4,300 digits, a time
 *   64 bits; a depth is an integer of canonical JSON in every version. Levels are compared to the last digit. See numbers.test.ts.
 *
 * Where we do not:
 * - Of several signatures on an invite by third-party identifier any may fit. Synapse gives up a key at the first that does
 *   not, in an order that differs from server to server.
 * - Levels that are lists or null make Synapse fail, which is no answer; they count as not given.
 * - Synapse leaves `age_ts`, `outlier` and `destinations` at the top of an event out of its content hash, against the letter. No
 *   event that a server means well has them.
 */
describe.each(SUPPORTED_ROOM_VERSIONS)('room version %s, as Synapse has it', (version) => {
  const rooms = synapseRooms(version);
  const rules = rulesOf(version);

  test('events hash and redact to the same', () => {
    for (const [event, reference, content, redacted] of synapseEvents(version)) {
      expect(contentHash(event, rules)).toBe(content);
      expect(redact(event, rules)).toEqual(withoutUnsigned(redacted));
      expect(referenceHash(redact(event, rules), rules)).toBe(reference);
    }
  });

  test('events have the same ids', () => {
    expect(rooms.length).toBeGreaterThanOrEqual(150);
    for (const { events } of rooms) {
      for (const { eventId, expectedId } of events) expect(eventId.slice(0, expectedId.length)).toBe(expectedId);
    }
  });

  test('events are allowed and refused alike', () => {
    const differing = rooms.flatMap((room) => room.events.flatMap((event, index) => differences(room, event, index)));
    expect(differing).toEqual([]);
  });

  test('states resolve to the same', () => {
    const differing: unknown[] = [];
    for (const room of rooms) {
      for (const [number, { states, outcome }] of room.resolutions.entries()) {
        const resolved = resolveIn(room, states);
        if (JSON.stringify(resolved) !== JSON.stringify(outcome)) {
          differing.push({ seed: room.seed, number, resolved, outcome });
        }
      }
    }
    expect(differing).toEqual([]);
  });
});

function withoutUnsigned({ unsigned: _unsigned, ...event }: { readonly [key: string]: unknown }): unknown {
  return event;
}

function differences(room: SynapseRoom, event: SynapseEvent, index: number): unknown[] {
  const { rules, roomId } = room;
  const { pdu, allowed } = event;
  const input = { ...authInputOf(pdu, rules), signatures: 'unchecked' } as const;
  const named = event.authEvents.map((at) => namedAuthEvent(room, at));
  const create = room.events[0] as SynapseEvent;
  const implied =
    createEventIdFromRoomId(roomId) === create.eventId
      ? { eventId: create.eventId, rejected: create.rejected }
      : undefined;
  const own = rules.eventFormat.createEventInAuthEvents ? named : [namedAuthEvent(room, 0), ...named];
  const created = pdu.type === 'm.room.create' ? checkAuth(input, () => undefined, rules) : undefined;
  const ours = {
    authEvents: created ?? checkAuthEvents(input, roomId, named, implied, rules),
    ownState: created ?? checkAuth(input, lookupIn(own.filter(({ rejected }) => !rejected)), rules),
    stateBefore: created ?? checkAuth(input, lookupIn(event.stateBefore.map((at) => namedAuthEvent(room, at))), rules),
  };
  // A create event has no state to be judged by: Synapse looks at it with the auth events.
  const keys = created === undefined ? (['authEvents', 'ownState', 'stateBefore'] as const) : (['authEvents'] as const);
  return keys
    .filter((key) => ours[key].allowed !== allowed[key])
    .map((key) => ({ seed: room.seed, index, key, synapse: allowed[key], ours: ours[key], content: pdu.content }));
}

function namedAuthEvent({ events, roomId }: SynapseRoom, index: number): NamedAuthEvent {
  const { resolution, rejected } = events[index] as SynapseEvent;
  if (resolution === undefined) throw new Error('An auth event of a fixture is no state event.');
  return { ...resolution, roomId, rejected };
}

/** Of two under one key the last, as a map made of them has it. */
function lookupIn(state: readonly NamedAuthEvent[]): StateLookup {
  return (type, stateKey) =>
    state.findLast((event): event is NamedAuthEvent & AuthEvent => event.type === type && event.stateKey === stateKey);
}

function resolveIn({ events, indexOf, rules }: SynapseRoom, states: readonly (readonly number[])[]): number[] {
  const event = (eventId: string) => events[indexOf.get(eventId) ?? -1]?.resolution;
  const entries = states.map((state) =>
    state.flatMap((index) => {
      const { resolution } = events[index] as SynapseEvent;
      return resolution === undefined ? [] : [resolution];
    }),
  );
  const { state } = resolveStates(entries, { rules, event, graph: plainAuthGraph(event, rules) });
  return state.map(({ eventId }) => indexOf.get(eventId) as number).sort((a, b) => a - b);
}
