/** Which parts of a told state the server takes over as it comes into a room. */
import type { Reader } from '#projections/engine/reader.ts';
import type { PartialRoom } from '#projections/rooms/partial.ts';
import { eventAt, findRoom } from '#projections/rooms/queries.ts';
import type { StateKey } from '#projections/rooms/state/index.ts';
import { headBefore } from '#projections/rooms/take-state.ts';
import type { TakenState } from '#projections/rooms/taken-state-record.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { type StateMap, stateAtVersion, stateKeyOf } from '#src/sync/room-state.ts';
import type { Position } from '#streams/event-log.ts';

/** Changes in one part: it is applied in one turn of the event loop, some 10 ms. */
const CHANGES_PER_PART = 400;
/** Events of a told state that other events replaced before all of it was known: what our users can have done meanwhile. */
const MAX_REPLACED = 10_000;
/** Keys of members, see `stateKeyOf`, begin with it. */
export const MEMBER_PREFIX = stateKeyOf('m.room.member', '');

/** What has to be taken over. */
export interface PartsToTake {
  /** In their order. */
  readonly others: readonly TakenState[];
  /**
   * What concerns our own users: it goes with the event by which the server comes in, so that nobody is in a room that the server is
   * not in. Most often nothing.
   */
  readonly ours: readonly TakenState[];
}

/** The parts by which the state that is known of a room becomes the told one. */
export async function partsToTake(
  reader: Reader,
  roomId: string,
  told: StateMap,
  isOurs: (userId: string) => boolean,
): Promise<PartsToTake> {
  const room = findRoom(reader, roomId)?.id;
  const known =
    room === undefined
      ? new Map<string, Position>()
      : await stateAtVersion({ reader, room, pacer: sharedPacer }, headBefore(reader, room).stateVersion, true);
  const [others, ours] = [new Parts(roomId), new Parts(roomId)];
  const partsOf = (key: string): Parts =>
    key.startsWith(MEMBER_PREFIX) && isOurs(key.slice(MEMBER_PREFIX.length)) ? ours : others;
  for (const key of known.keys()) {
    if (!told.has(key)) partsOf(key).remove(key);
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  for (const [key, event] of told) {
    if (known.get(key) !== event) partsOf(key).put(event);
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  return { others: others.list, ours: ours.list };
}

/** What has to be taken over of a state whose members were not told at first. */
export interface PartsToComplete {
  readonly parts: readonly TakenState[];
  /** Events of it whose keys have other events by now. */
  readonly replaced: readonly Position[];
}

/**
 * What is missing of a told state. What our users did since the entry stays, and so do the settings of the room that were told with
 * it, on which that was decided; a member of whom something was told with it is who the whole state says.
 */
export async function partsToComplete(
  reader: Reader,
  { room, roomId, place }: PartialRoom & { readonly room: Position },
  told: StateMap,
): Promise<PartsToComplete> {
  const source = { reader, room, pacer: sharedPacer };
  const known = await stateAtVersion(source, headBefore(reader, room).stateVersion, true);
  const parts = new Parts(roomId);
  const replaced: Position[] = [];
  for (const [key, event] of told) {
    if (sharedPacer.isDue) await sharedPacer.pause();
    const there = known.get(key);
    if (there === event) continue;
    const isTold = there !== undefined && key.startsWith(MEMBER_PREFIX) && !isSince(reader, there, place);
    if (there === undefined || isTold) parts.put(event);
    else if (replaced.length < MAX_REPLACED) replaced.push(event);
  }
  return { parts: parts.list, replaced };
}

/** Whether an event came onto the timeline at a place, or behind it. */
function isSince(reader: Reader, position: Position, place: Position): boolean {
  const event = eventAt(reader, position);
  return event !== undefined && (event.fork?.place ?? event.position) >= place;
}

class Parts {
  readonly list: { readonly roomId: string; readonly events: Position[]; readonly removed: StateKey[] }[] = [];
  readonly #roomId: string;

  constructor(roomId: string) {
    this.#roomId = roomId;
  }

  put(event: Position): void {
    this.#last().events.push(event);
  }

  remove(key: string): void {
    this.#last().removed.push(stateKeyIn(key));
  }

  #last(): { readonly events: Position[]; readonly removed: StateKey[] } {
    const last = this.list.at(-1);
    if (last !== undefined && last.events.length + last.removed.length < CHANGES_PER_PART) return last;
    const next = { roomId: this.#roomId, events: [], removed: [] };
    this.list.push(next);
    return next;
  }
}

/** The key that `stateKeyOf` made a text of. */
function stateKeyIn(key: string): StateKey {
  const colon = key.indexOf(':');
  const end = colon + 1 + Number(key.slice(0, colon));
  return { type: key.slice(colon + 1, end), stateKey: key.slice(end) };
}
