/** What `stele rooms` makes of rooms from files, held against what Synapse makes of them. */
import { describe, expect, test } from 'vitest';
import { applyEvents } from '#ops/rooms/apply-events.ts';
import { checkAuthOfAll } from '#ops/rooms/check-auth.ts';
import { resolveGivenStates } from '#ops/rooms/resolve-sets.ts';
import { type RoomEvent, readRoomEvent } from '#ops/rooms/room-event.ts';
import { SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import { type SynapseRoom, synapseRooms } from './synapse.ts';

/** The room's events as a file would give them, last first: their order must not matter. */
function eventsOf({ events, rules }: SynapseRoom): Map<string, RoomEvent> {
  const read = events.map(({ pdu }, index) => readRoomEvent(pdu, `room.json[${index}]`, rules));
  return new Map(read.toReversed().map((event) => [event.eventId, event]));
}

function idsOf({ events }: SynapseRoom, indices: readonly number[]): string[] {
  return indices.flatMap((index) => events[index]?.eventId ?? []).sort();
}

function sortedIds(state: readonly { readonly eventId: string }[]): string[] {
  return state.map(({ eventId }) => eventId).sort();
}

describe.each(SUPPORTED_ROOM_VERSIONS)('room version %s', (version) => {
  const rooms = synapseRooms(version);

  test('each event is judged by its own auth events, after those it cites', () => {
    for (const room of rooms) {
      const found = checkAuthOfAll(eventsOf(room), room.rules);
      const allowed = new Map(found.map(({ event_id, allowed }) => [event_id, allowed]));
      const differing = room.events.filter(({ eventId, allowedAlone }) => allowed.get(eventId) !== allowedAlone);
      expect({ seed: room.seed, differing }).toEqual({ seed: room.seed, differing: [] });
      const place = new Map(found.map(({ event_id }, index) => [event_id, index]));
      for (const { eventId, authEvents } of room.events) {
        for (const id of idsOf(room, authEvents)) expect(place.get(id)).toBeLessThan(place.get(eventId) as number);
      }
    }
  });

  test('applying the events comes to the same state', () => {
    for (const room of rooms) {
      const events = eventsOf(room);
      const { state, rejected } = applyEvents(events, { rules: room.rules });
      expect({ seed: room.seed, state: sortedIds(state) }).toEqual({
        seed: room.seed,
        state: idsOf(room, room.final),
      });
      // Another create event makes another room where the room id is its hash.
      const ofRoom = room.events.filter(({ eventId }) => events.get(eventId)?.roomId === room.roomId);
      const refused = ofRoom.flatMap((event) => (event.rejected ? event.eventId : []));
      expect(sortedIds(rejected)).toEqual(refused.sort());
    }
  });

  test('states that hold no rejected event resolve to the same', () => {
    let resolved = 0;
    for (const room of rooms) {
      const events = eventsOf(room);
      for (const { states, outcome } of room.resolutions) {
        if (states.flat().some((index) => room.events[index]?.rejected)) continue;
        const given = states.map((state, index) => ({ file: `${index}.json`, eventIds: idsOf(room, state) }));
        const { state } = resolveGivenStates(given, events, { rules: room.rules, trace: false });
        expect({ seed: room.seed, state: sortedIds(state) }).toEqual({ seed: room.seed, state: idsOf(room, outcome) });
        resolved += 1;
      }
    }
    expect(resolved).toBeGreaterThan(300);
  });
});
