/** One look at what is new on a connection, and the answer that says so. */
import { hasAccountDataSince } from '#projections/account-data/queries.ts';
import type { Typing } from '#src/ephemeral/typing.ts';
import type { TypingSince } from '#src/sync/look.ts';
import type { RecentChanges } from '#src/sync/recent-changes.ts';
import { recountedRooms } from '#src/sync/recounted-rooms.ts';
import type { Position } from '#streams/event-log.ts';
import { isSameSent, type SentChanges, type SentRoom, UP_TO_DATE } from './connection.ts';
import { type AccountDataNews, accountDataNewsOf, extensionAnswers } from './extensions.ts';
import type { Rules } from './request.ts';
import { RequiredState } from './required-state.ts';
import { type RoomAnswer, roomAnswer, type SlidingRun } from './room-answer.ts';
import type { RoomList } from './room-list.ts';
import { directRooms, keepUpMarks } from './room-marks.ts';
import { isForgotten, type WindowRoom, type Windows, windowsOf } from './windows.ts';

export interface LookOptions {
  readonly sliding: SlidingRun;
  readonly list: RoomList;
  readonly rules: Rules;
  /** Names the rules: the same text for the same rules. */
  readonly rulesText: string;
  /** What the last answer has settled. */
  readonly settled: Settled | undefined;
  /** What the client was told of rooms. */
  readonly sent: ReadonlyMap<Position, SentRoom>;
  readonly recent: RecentChanges;
  readonly typing: Typing;
  readonly typingSince: TypingSince | undefined;
}

/** An answer after which the client knows everything of the rooms in its windows. */
export interface Settled {
  readonly windows: Windows;
  readonly rulesText: string;
  /** What the windows were made of, by identity. */
  readonly sorted: RoomList['sorted'];
  /** Rooms in the windows that the user has left. */
  readonly left: readonly Position[];
  /** The moment of the answer. */
  readonly upTo: Position;
}

export interface News {
  /** Members of the answer, without braces around them. */
  readonly json: string;
  /** Whether there is nothing that somebody who waits is to be told. */
  readonly isEmpty: boolean;
  readonly changes: SentChanges;
  /** Once the changes are taken in. */
  readonly settled: Settled;
}

/** A room to look into, and what the client was told of it. */
interface Candidate {
  readonly window: WindowRoom;
  readonly known: SentRoom | undefined;
}

const OUT: ReadonlySet<string> = new Set(['leave', 'ban']);
const NO_ROOMS: ReadonlySet<Position> = new Set();

/** What is new after the `since` of the run, up to its `upTo`. */
export async function lookAtRooms(options: LookOptions): Promise<News> {
  const { sliding, list, rules, recent } = options;
  const { base } = sliding;
  const { reader } = base;
  const { userId } = base.viewer;
  // All that decides which rooms are looked at is read before the first pause, so it is of one moment.
  keepUpMarks(reader, userId, list.marks);
  const accountData = accountDataNewsOf(base);
  const changed = base.isInitial ? undefined : recent.roomsSince(reader, base.since);
  const recounted = base.isInitial ? NO_ROOMS : recountedRooms(reader, userId, base.since, base.upTo);
  const direct = directRooms(reader, userId, list.marks);
  const settled = stillSettled(options);
  const windows = settled?.windows ?? freshWindows(options);
  const changes = missedRooms(options, windows, { changed, recounted, accountData });
  const candidates = candidatesOf(options, windows, { changed, recounted, direct, isSettled: settled !== undefined });
  const next: Settled = {
    windows,
    rulesText: options.rulesText,
    sorted: list.sorted,
    left: leftRooms(windows),
    upTo: base.upTo,
  };

  const answers = new Map<Position, RoomAnswer>();
  const texts: string[] = [];
  for (const [id, { window, known }] of candidates) {
    if (base.pacer.isDue) await base.pacer.pause();
    const { roomId } = window.room;
    const answer = await roomAnswer(sliding, { window, sent: known, isDirect: direct.has(roomId) });
    if (answer === undefined) continue;
    answers.set(id, answer);
    if (answer.json !== undefined) texts.push(`${JSON.stringify(roomId)}:${answer.json}`);
    if (!isSameSent(known, answer.sent)) changes.set(id, answer.sent);
  }
  const extensions = await extensionAnswers({
    run: base,
    extensions: rules.extensions,
    windows,
    answers,
    seenOf: (room) => seenOf(base.since, candidates.get(room)),
    recent,
    typing: options.typing,
    typingSince: options.typingSince,
    accountData,
  });
  const lists = [...windows.counts].map(([name, count]) => `${JSON.stringify(name)}:{"count":${count}}`);
  const sections = extensions.map(({ name, json }) => `${JSON.stringify(name)}:${json}`);
  return {
    json: `"lists":{${lists.join(',')}},"rooms":{${texts.join(',')}},"extensions":{${sections.join(',')}}`,
    isEmpty: texts.length === 0 && !extensions.some(({ isNews }) => isNews),
    changes,
    settled: next,
  };
}

/** What the last answer settled, if the windows are still made of the same. */
function stillSettled({ settled, rulesText, list, sliding }: LookOptions): Settled | undefined {
  if (settled === undefined || settled.rulesText !== rulesText || settled.sorted !== list.sorted) return undefined;
  const { reader, viewer } = sliding.base;
  // That a room is forgotten is nothing that happens in it.
  if (settled.left.some((room) => isForgotten(reader, viewer.userId, room))) return undefined;
  return hasAccountDataSince(reader, viewer.userId, settled.upTo) ? undefined : settled;
}

function leftRooms({ rooms }: Windows): Position[] {
  const left: Position[] = [];
  for (const { room } of rooms.values()) if (OUT.has(room.row.membership)) left.push(room.id);
  return left;
}

function freshWindows({ sliding, list, rules, sent }: LookOptions): Windows {
  const { reader, viewer, ignored } = sliding.base;
  const { marks } = list;
  return windowsOf({
    reader,
    userId: viewer.userId,
    marks,
    rules,
    list,
    ignored,
    sentMembership: (room) => sent.get(room)?.membership,
  });
}

interface CandidateOptions {
  readonly changed: ReadonlySet<Position> | undefined;
  /** Rooms in which other rules count now. */
  readonly recounted: ReadonlySet<Position>;
  readonly direct: ReadonlySet<string>;
  /** Whether nothing but the rooms in which something happened can have news. */
  readonly isSettled: boolean;
}

function candidatesOf(
  { sent }: LookOptions,
  { rooms }: Windows,
  { changed, recounted, direct, isSettled }: CandidateOptions,
): Map<Position, Candidate> {
  const candidates = new Map<Position, Candidate>();
  if (isSettled && changed !== undefined) {
    for (const id of new Set([...changed, ...recounted])) {
      const window = rooms.get(id);
      if (window !== undefined) candidates.set(id, { window, known: sent.get(id) });
    }
    return candidates;
  }
  const covers = coverTest();
  for (const [id, window] of rooms) {
    const known = sent.get(id);
    const isNew = known === undefined || changed === undefined || changed.has(id) || recounted.has(id);
    if (isNew || mayHaveNews(window, known, direct, covers)) candidates.set(id, { window, known });
  }
  return candidates;
}

/** Up to where the client knows a room; undefined where it does not know it. */
function seenOf(since: Position, candidate: Candidate | undefined): Position | undefined {
  if (candidate === undefined) return since;
  return candidate.known?.upTo === UP_TO_DATE ? since : candidate.known?.upTo;
}

interface Happened {
  /** Rooms in which something happened since the client's last answer; undefined where that is too long ago to tell. */
  readonly changed: ReadonlySet<Position> | undefined;
  /** Rooms in which other rules count now. */
  readonly recounted: ReadonlySet<Position>;
  readonly accountData: AccountDataNews;
}

/** Rooms that the client knows and is not told of now, though something has happened in them. */
function missedRooms(
  { sliding, list, sent }: LookOptions,
  windows: Windows,
  { changed, recounted, accountData }: Happened,
): Map<Position, SentRoom | undefined> {
  const changes = new Map<Position, SentRoom | undefined>();
  const miss = (room: Position): void => {
    const known = sent.get(room);
    if (known?.upTo !== UP_TO_DATE || windows.rooms.has(room)) return;
    changes.set(room, { ...known, upTo: sliding.base.since });
  };
  for (const room of changed ?? sent.keys()) miss(room);
  for (const room of recounted) miss(room);
  if (accountData.byRoom.size > 0) {
    for (const { id, roomId } of list.byId.values()) if (accountData.byRoom.has(roomId)) miss(id);
  }
  return changes;
}

/** Whether there is something to tell of a room that the client knows, though nothing happened in it. */
function mayHaveNews(
  { room, config }: WindowRoom,
  sent: SentRoom,
  direct: ReadonlySet<string>,
  covers: CoverTest,
): boolean {
  return (
    sent.upTo !== UP_TO_DATE ||
    sent.isDirect !== direct.has(room.roomId) ||
    sent.membership !== room.row.membership ||
    config.timelineLimit > sent.known ||
    (config.requiredState.key !== sent.required && !covers(sent.required, config.requiredState))
  );
}

/** Whether what is wanted now was wanted before, and so is known. */
type CoverTest = (sentKey: string, required: RequiredState) => boolean;

/** Compares each two once. */
function coverTest(): CoverTest {
  const known = new Map<RequiredState, Map<string, boolean>>();
  return (sentKey, required) => {
    const ofRequired = known.get(required) ?? new Map<string, boolean>();
    known.set(required, ofRequired);
    const isCovered = ofRequired.get(sentKey) ?? RequiredState.ofKey(sentKey).covers(required);
    ofRequired.set(sentKey, isCovered);
    return isCovered;
  };
}
