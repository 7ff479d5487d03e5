/** One look at what is new on a connection, and the answer that says so. */
import type { Typing } from '#src/ephemeral/typing.ts';
import type { TypingSince } from '#src/sync/look.ts';
import type { RecentChanges } from '#src/sync/recent-changes.ts';
import type { Position } from '#streams/event-log.ts';
import { isSameSent, type SentChanges, type SentRoom, UP_TO_DATE } from './connection.ts';
import { type AccountDataNews, accountDataNewsOf, extensionAnswers } from './extensions.ts';
import type { Rules } from './request.ts';
import { RequiredState } from './required-state.ts';
import { type RoomAnswer, roomAnswer, type SlidingRun } from './room-answer.ts';
import type { RoomList } from './room-list.ts';
import { directRooms, keepUpMarks } from './room-marks.ts';
import { type WindowRoom, type Windows, windowsOf } from './windows.ts';

export interface LookOptions {
  readonly sliding: SlidingRun;
  readonly list: RoomList;
  readonly rules: Rules;
  /** What the client was told of rooms. */
  readonly sent: ReadonlyMap<Position, SentRoom>;
  readonly recent: RecentChanges;
  readonly typing: Typing;
  readonly typingSince: TypingSince | undefined;
}

export interface News {
  /** Members of the answer, without braces around them. */
  readonly json: string;
  /** Whether there is nothing that somebody who waits is to be told. */
  readonly isEmpty: boolean;
  readonly changes: SentChanges;
}

/** What is new after the `since` of the run, up to its `upTo`. */
export async function lookAtRooms(options: LookOptions): Promise<News> {
  const { sliding, list, rules, recent } = options;
  const { base } = sliding;
  const { reader } = base;
  const { userId } = base.viewer;
  // All that decides which rooms are looked at is read before the first pause, so it is of one moment.
  keepUpMarks(reader, userId, list.marks);
  const accountData = accountDataNewsOf(base);
  const sent = new Map(options.sent);
  const windows = windowsOf({
    reader,
    userId,
    marks: list.marks,
    rules,
    list,
    ignored: base.ignored,
    wasSent: (room) => sent.has(room),
  });
  const changed = base.isInitial ? undefined : recent.roomsSince(reader, base.since);
  const direct = directRooms(reader, userId, list.marks);
  const changes = missedRooms(options, windows, { changed, accountData });
  const answers = new Map<Position, RoomAnswer>();
  const texts: string[] = [];
  for (const window of windows.rooms.values()) {
    const { id, roomId } = window.room;
    const known = sent.get(id);
    const isDirect = direct.has(roomId);
    if (known !== undefined && !mayHaveNews(window, known, isDirect, changed)) continue;
    if (base.pacer.isDue) await base.pacer.pause();
    const answer = await roomAnswer(sliding, { window, sent: known, isDirect });
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
    sent: (room) => sent.get(room),
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
  };
}

interface Happened {
  /** Rooms in which something happened since the client's last answer; undefined where that is too long ago to tell. */
  readonly changed: ReadonlySet<Position> | undefined;
  readonly accountData: AccountDataNews;
}

/** Rooms that the client knows and is not told of now, though something has happened in them. */
function missedRooms(
  { sliding, list, sent }: LookOptions,
  windows: Windows,
  { changed, accountData }: Happened,
): Map<Position, SentRoom | undefined> {
  const changes = new Map<Position, SentRoom | undefined>();
  const miss = (room: Position): void => {
    const known = sent.get(room);
    if (known?.upTo !== UP_TO_DATE || windows.rooms.has(room)) return;
    changes.set(room, { ...known, upTo: sliding.base.since });
  };
  for (const room of changed ?? sent.keys()) miss(room);
  if (accountData.byRoom.size > 0) {
    for (const { id, roomId } of list.byId.values()) if (accountData.byRoom.has(roomId)) miss(id);
  }
  return changes;
}

/** Whether there may be something to tell of a room that the client knows. */
function mayHaveNews(
  { room, config }: WindowRoom,
  sent: SentRoom,
  isDirect: boolean,
  changed: ReadonlySet<Position> | undefined,
): boolean {
  return (
    changed === undefined ||
    changed.has(room.id) ||
    sent.upTo !== UP_TO_DATE ||
    sent.isDirect !== isDirect ||
    sent.membership !== room.row.membership ||
    config.timelineLimit > sent.known ||
    (config.requiredState.key !== sent.required && !isCovered(config.requiredState, sent.required))
  );
}

/** Whether what is wanted now was wanted before, and so is known. */
function isCovered(required: RequiredState, sentKey: string): boolean {
  return RequiredState.ofKey(sentKey).covers(required);
}
