/** Which state events an answer has for a room, and what they say has changed. */
import { type Event, stateEventPosition, stateKeysChangedBetween } from '#projections/rooms/queries.ts';
import { NO_EVENT } from '#projections/rooms/state/index.ts';
import { stateVersions } from '#projections/rooms/tables.ts';
import { hasMember } from '#src/sync/lazy-members.ts';
import {
  MEMBER_KEY,
  type StateMap,
  type StateSource,
  stateAtVersion,
  stateDelta,
  stateEvents,
  stateKeyOf,
  typeAtVersion,
} from '#src/sync/room-state.ts';
import type { RoomRun } from '#src/sync/run.ts';
import type { Timeline } from '#src/sync/timeline.ts';
import { RequiredState } from './required-state.ts';
import type { SlidingRun } from './room-answer.ts';
import type { CombinedConfig } from './windows.ts';

const MEMBER = 'm.room.member';

/** What has changed in the state of a room that the client knows. */
export interface StateNews {
  /** The changed keys with their events; undefined where the client knows nothing yet. */
  readonly changed: StateMap | undefined;
  /** Keys that have no event any more. */
  readonly removed: readonly { readonly type: string; readonly stateKey: string }[];
  readonly hasMembers: boolean;
  /** What was asked for when the room was told of last; undefined where it was not. */
  readonly sentRequired: string | undefined;
  has(type: string): boolean;
}

export interface StateNewsOptions {
  /** Version of the state that the client knows; undefined for none. */
  readonly sinceVersion: number | undefined;
  readonly endVersion: number;
  readonly sentRequired: string | undefined;
}

/** Finds what has changed in the state. */
export async function stateNewsOf(
  { run, room }: RoomRun,
  { sinceVersion, endVersion, sentRequired }: StateNewsOptions,
): Promise<StateNews> {
  if (sinceVersion === undefined) {
    return { changed: undefined, removed: [], hasMembers: true, sentRequired, has: () => true };
  }
  const source: StateSource = { reader: run.reader, room: room.id, pacer: run.pacer };
  const changed = await stateDelta(source, sinceVersion, endVersion);
  const removed = removedKeys(source, sinceVersion, endVersion);
  for (const { type, stateKey } of removed) changed.delete(stateKeyOf(type, stateKey));
  const keys = [...changed.keys(), ...removed.map(({ type, stateKey }) => stateKeyOf(type, stateKey))];
  return {
    changed,
    removed,
    hasMembers: keys.some((key) => key.startsWith(MEMBER_KEY)),
    sentRequired,
    has: (type) => keys.includes(stateKeyOf(type, '')),
  };
}

/** Only where forks met can a key lose its event, and then the list of changes says so. */
function removedKeys({ reader, room }: StateSource, after: number, upTo: number): StateNews['removed'] {
  if (after >= upTo) return [];
  for (const { value } of reader.range(stateVersions, { prefix: [room], gt: [room, after], lte: [room, upTo] })) {
    if (value !== NO_EVENT) continue;
    return stateKeysChangedBetween(reader, room, after, upTo).filter(
      ({ type, stateKey }) => stateEventPosition(reader, room, type, stateKey, upTo) === undefined,
    );
  }
  return [];
}

export interface RequiredStateOptions {
  readonly config: CombinedConfig;
  readonly timeline: Timeline;
  readonly news: StateNews;
  readonly endVersion: number;
}

/** The state events of an answer, and JSON texts of what stands for those that are gone. */
export interface RequiredStateAnswer {
  readonly events: readonly Event[];
  readonly stubs: readonly string[];
}

export async function requiredStateOf(
  run: SlidingRun,
  roomRun: RoomRun,
  { config, timeline, news, endVersion }: RequiredStateOptions,
): Promise<RequiredStateAnswer> {
  const { requiredState: required } = config;
  const source: StateSource = { reader: run.base.reader, room: roomRun.room.id, pacer: run.base.pacer };
  const positions =
    news.changed === undefined ? await lookUp(source, required, endVersion) : changedOf(news, required, timeline);
  if (news.sentRequired !== undefined && news.sentRequired !== required.key) {
    await addExpanded(source, RequiredState.ofKey(news.sentRequired), required, endVersion, positions);
  }
  if (required.isLazy) addLazyMembers(run, roomRun, { timeline, news, endVersion }, positions);
  const stubs = news.removed
    .filter(({ type, stateKey }) => required.matches(type, stateKey))
    .map(({ type, stateKey }) => JSON.stringify({ type, state_key: stateKey }));
  return { events: await stateEvents(source, positions.values(), () => true), stubs };
}

/** All that is wanted of a version of the state. */
async function lookUp(source: StateSource, required: RequiredState, version: number): Promise<StateMap> {
  const { isEverything, types, keys } = required.lookUps();
  const found: StateMap = new Map();
  if (isEverything) {
    const all = await stateAtVersion(source, version, !required.isLazy || required.matchesAnyMember());
    for (const [key, position] of all) if (matchesKey(required, key)) found.set(key, position);
  }
  for (const type of types) {
    for (const [key, position] of await typeAtVersion(source, type, version)) {
      if (matchesKey(required, key)) found.set(key, position);
    }
  }
  for (const { type, stateKey } of keys) {
    const position = stateEventPosition(source.reader, source.room, type, stateKey, version);
    if (position !== undefined && required.matches(type, stateKey)) found.set(stateKeyOf(type, stateKey), position);
  }
  return found;
}

function changedOf({ changed }: StateNews, required: RequiredState, timeline: Timeline): StateMap {
  const found: StateMap = new Map();
  for (const [key, position] of changed ?? []) {
    // Who caches members is told of all changes, but for those in gaps. Source: MSC4186, "Lazy loaded memberships".
    const isCached = required.isLazy && !timeline.isLimited && key.startsWith(MEMBER_KEY);
    if (isCached || matchesKey(required, key)) found.set(key, position);
  }
  return found;
}

/** What is wanted now and was not when the room was told of last. */
async function addExpanded(
  source: StateSource,
  before: RequiredState,
  required: RequiredState,
  version: number,
  positions: StateMap,
): Promise<void> {
  if (before.covers(required)) return;
  for (const [key, position] of await lookUp(source, required, version)) {
    if (!matchesKey(before, key)) positions.set(key, position);
  }
}

/** Adds the members whom the timeline names and whom the client does not have. */
function addLazyMembers(
  { base, connection, seenAnswer, answer, lazyMembers }: SlidingRun,
  { room }: RoomRun,
  { timeline, news, endVersion }: Omit<RequiredStateOptions, 'config'>,
  positions: StateMap,
): void {
  const sent = lazyMembers.of(connection, room.roomId, news.changed === undefined);
  const needed = new Set<string>();
  for (const { sender, type, stateKey } of timeline.events) {
    needed.add(sender);
    if (type === MEMBER && stateKey !== undefined) needed.add(stateKey);
  }
  for (const userId of needed) {
    const key = stateKeyOf(MEMBER, userId);
    if (positions.has(key)) continue;
    const event = stateEventPosition(base.reader, room.id, MEMBER, userId, endVersion);
    if (event !== undefined && !hasMember(sent, userId, event, seenAnswer)) positions.set(key, event);
  }
  for (const [key, event] of positions) {
    if (key.startsWith(MEMBER_KEY)) sent.set(key.slice(MEMBER_KEY.length), { event, inAnswer: answer });
  }
}

/** A key as `stateKeyOf` makes it: length of the type, type, state key. */
function matchesKey(required: RequiredState, key: string): boolean {
  const colon = key.indexOf(':');
  const end = colon + 1 + Number(key.slice(0, colon));
  return required.matches(key.slice(colon + 1, end), key.slice(end));
}
