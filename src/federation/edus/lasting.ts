/**
 * The EDUs that must not be lost: messages to devices, and what changed about the keys of local users. Nothing is kept for a
 * server but the messages to it; what else it has to hear is found in the log's projections from where it was last.
 */

import { changeNumberOffset } from '#projections/backups/projection.ts';
import { PUBLISHED_TOPIC } from '#projections/encryption/key-changes.ts';
import { deviceKeysOf, joinedRoomAt, lastPublishedOf, publishedSince } from '#projections/encryption/key-queries.ts';
import type { PublishedChangeRow } from '#projections/encryption/key-tables.ts';
import { OUTBOX_TOPIC, queuedDestinations, queuedMessages } from '#projections/encryption/outbox-projection.ts';
import { sharesRoomWith } from '#projections/encryption/remote-devices.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { isServerIn, roomsOf, serversIn } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Bus } from '#src/bus/bus.ts';
import { crossSigningKeyFor, deviceKeysFor } from '#src/encryption/query-keys.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import type { Edu, LastingEdus } from '../outbound/edu.ts';

/** Largest page, in characters of JSON; a single record may go beyond it. */
const MAX_PAGE_CHARACTERS = 4 * 1024 * 1024;
/** Changes that are looked at for one page: most are of users that the server does not know. */
const MAX_CHANGES_LOOKED_AT = 500;
/** Devices that are named one by one if they change at once; with more the whole list is asked for anew. */
const MAX_DEVICES_NAMED = 20;
/** Stands for nobody: only signatures of a key's owner are shown. */
const NOBODY = '';

/** EDUs that belong to one position. */
interface Group {
  readonly at: Position;
  /** None where the search got so far and there was nothing for the server. */
  readonly edus: readonly Edu[];
  readonly characters: number;
}

export class LastingEduLog implements LastingEdus {
  readonly #reader: Reader;
  readonly #serverName: string;

  constructor(reader: Reader, serverName: string) {
    this.#reader = reader;
    this.#serverName = serverName;
  }

  async after(
    destination: string,
    position: Position,
    limit: number,
  ): Promise<{ readonly edus: readonly Edu[]; readonly upTo: Position; readonly hasMore: boolean }> {
    // Whoever has much to catch up with asks again and again.
    if (sharedPacer.isDue) await sharedPacer.pause();
    const edus: Edu[] = [];
    let upTo = position;
    let characters = 0;
    for (const group of this.#groups(destination, position)) {
      const isFull = edus.length + group.edus.length > limit || characters + group.characters > MAX_PAGE_CHARACTERS;
      if ((isFull && edus.length > 0) || group === SEARCHED_ENOUGH) return { edus, upTo, hasMore: true };
      edus.push(...group.edus);
      characters += group.characters;
      upTo = group.at;
    }
    return { edus, upTo: Math.max(position, this.#reader.frontier), hasMore: false };
  }

  *destinationsSince(position: Position): Iterable<string> {
    for (const destination of queuedDestinations(this.#reader, position)) {
      if (destination !== this.#serverName) yield destination;
    }
  }

  wakeOnPublished(
    bus: Pick<Bus, 'follow'>,
    wake: (destinations: Iterable<string>, after: Position) => void,
  ): () => void {
    let seen = this.#reader.frontier;
    return bus.follow((topics, position) => {
      if (position === BEFORE_FIRST) return;
      const after = seen;
      seen = this.#reader.frontier;
      const destinations = new Set<string>();
      for (const topic of topics) {
        if (topic.startsWith(OUTBOX_TOPIC)) destinations.add(topic.slice(OUTBOX_TOPIC.length));
        else if (topic.startsWith(PUBLISHED_TOPIC)) {
          for (const server of serversOf(this.#reader, topic.slice(PUBLISHED_TOPIC.length))) destinations.add(server);
        }
      }
      if (destinations.size > 0) wake(destinations, after);
    });
  }

  /** What there is for a server, in the order of the log. */
  *#groups(destination: string, after: Position): Generator<Group> {
    const messages = queuedGroups(this.#reader, destination, after);
    const changes = this.#changes(destination, after);
    let message = messages.next();
    let change = changes.next();
    while (!message.done || !change.done) {
      if (change.done || (!message.done && message.value.at < change.value.at)) {
        if (!message.done) yield message.value;
        message = messages.next();
      } else {
        yield change.value;
        if (change.value === SEARCHED_ENOUGH) return;
        change = changes.next();
      }
    }
  }

  *#changes(destination: string, after: Position): Generator<Group> {
    let lookedAt = 0;
    const isKnown = new Map<string, boolean>();
    for (const { at, userId, change } of publishedSince(this.#reader, after)) {
      // That so far there is nothing is worth knowing, too.
      yield { at, edus: [...this.#changeEdus(destination, at, userId, change, isKnown)], characters: 0 };
      lookedAt += 1;
      if (lookedAt >= MAX_CHANGES_LOOKED_AT) {
        yield SEARCHED_ENOUGH;
        return;
      }
    }
  }

  *#changeEdus(
    destination: string,
    at: Position,
    userId: string,
    change: PublishedChangeRow,
    isKnown: Map<string, boolean>,
  ): Generator<Edu> {
    if (change.joined !== undefined) {
      if (cameToKnow(this.#reader, userId, destination, change.joined, at))
        yield* introductionEdus(this.#reader, userId);
      return;
    }
    const knows = isKnown.get(userId) ?? sharesRoomWith(this.#reader, userId, destination);
    isKnown.set(userId, knows);
    if (!knows) return;
    yield* deviceEdus(this.#reader, userId, at, change);
    yield* signingKeyEdus(this.#reader, userId, change);
  }
}

const SEARCHED_ENOUGH: Group = { at: 0, edus: [], characters: 0 };

/** The servers that share a room with a user. */
export function serversOf(reader: Reader, userId: string): Set<string> {
  const servers = new Set<string>();
  for (const { room, membership } of roomsOf(reader, userId)) {
    if (membership === 'join') for (const server of serversIn(reader, room)) servers.add(server);
  }
  return servers;
}

function* queuedGroups(reader: Reader, destination: string, after: Position): Generator<Group> {
  let group: { at: Position; edus: Edu[]; characters: number } | undefined;
  for (const { at, contentJson } of queuedMessages(reader, destination, after)) {
    if (group !== undefined && group.at !== at) {
      yield group;
      group = undefined;
    }
    group ??= { at, edus: [], characters: 0 };
    group.edus.push({ type: 'm.direct_to_device', content: parseJson(contentJson) as JsonObject });
    group.characters += contentJson.length;
  }
  if (group !== undefined) yield group;
}

/**
 * One EDU for each device. The last has the position of the change as its `stream_id`, those before it the numbers before, as far
 * as the change before leaves room for them; where it does not, one EDU names a change that nobody knows, so that the list is
 * asked for anew.
 */
function* deviceEdus(
  reader: Reader,
  userId: string,
  at: Position,
  { deviceIds, previous }: PublishedChangeRow,
): Generator<Edu> {
  const first = at - deviceIds.length + 1;
  const isNamed = first > 0 && deviceIds.length <= MAX_DEVICES_NAMED && (previous === null || previous < first);
  const hasNumbers = deviceIds.length === 1 || isNamed;
  const offset = changeNumberOffset(reader);
  let before = previous === null ? null : previous + offset;
  for (const [index, deviceId] of (hasNumbers ? deviceIds : deviceIds.slice(-1)).entries()) {
    const streamId = offset + (hasNumbers ? first + index : at);
    const keys = deviceKeysFor(reader, userId, deviceId);
    const previousIds = hasNumbers ? (before === null ? [] : [before]) : [streamId];
    yield {
      type: 'm.device_list_update',
      content: {
        user_id: userId,
        device_id: deviceId,
        stream_id: streamId,
        prev_id: previousIds,
        ...(keys === undefined ? { deleted: true } : { keys }),
      },
    };
    before = streamId;
  }
}

/** Whether a server has come to share a room with a user by the user's coming into one at this position. */
function cameToKnow(reader: Reader, userId: string, destination: string, room: Position, at: Position): boolean {
  if (joinedRoomAt(reader, userId, room) !== at) return false;
  let isInRoom = false;
  for (const { room: one, membership } of roomsOf(reader, userId)) {
    if (membership !== 'join' || !isServerIn(reader, one, destination)) continue;
    if (one === room) isInRoom = true;
    else if ((joinedRoomAt(reader, userId, one) ?? -1) < at) return false;
  }
  return isInRoom;
}

/** One device, under the number of the newest change and behind none: whoever has not heard of that asks for the list. */
function* introductionEdus(reader: Reader, userId: string): Generator<Edu> {
  const [device] = deviceKeysOf(reader, userId);
  const streamId = lastPublishedOf(reader, userId);
  const keys = device && deviceKeysFor(reader, userId, device.deviceId);
  if (device === undefined || keys === undefined || streamId === undefined) return;
  const content = { user_id: userId, device_id: device.deviceId, stream_id: streamId, prev_id: [], keys };
  yield { type: 'm.device_list_update', content };
}

function* signingKeyEdus(reader: Reader, userId: string, { hasSigningKeys }: PublishedChangeRow): Generator<Edu> {
  if (!hasSigningKeys) return;
  const master = crossSigningKeyFor(reader, NOBODY, userId, 'master');
  const selfSigning = crossSigningKeyFor(reader, NOBODY, userId, 'self_signing');
  yield {
    type: 'm.signing_key_update',
    content: {
      user_id: userId,
      ...(master !== undefined && { master_key: master }),
      ...(selfSigning !== undefined && { self_signing_key: selfSigning }),
    },
  };
}
