/** What an answer tells beside rooms: the extensions. */

import type { AccountDataEntry } from '#projections/account-data/queries.ts';
import { roomAccountData } from '#projections/account-data/queries.ts';
import { waitingMessages } from '#projections/encryption/inbox-projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { type ReceiptContent, receiptContentsSince } from '#projections/receipts/queries.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { accountDataForFirstSync, accountDataForSync } from '#src/client-api/account-data/entries.ts';
import { DEFAULT_CHANGES, subscriptionChanges } from '#src/client-api/thread-subscriptions/subscription-changes.ts';
import type { Typing } from '#src/ephemeral/typing.ts';
import { invalidParam } from '#src/http/errors.ts';
import { deviceListsText, keyCountsText, MAX_DEVICE_MESSAGES } from '#src/sync/device-news.ts';
import { accountDataJson } from '#src/sync/joined-room.ts';
import { currentLife, firstGone } from '#src/sync/log-lives.ts';
import { mayHaveTyping, type TypingSince } from '#src/sync/look.ts';
import type { RecentChanges } from '#src/sync/recent-changes.ts';
import type { SyncRun } from '#src/sync/run.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { type Extensions, type Scope, THREAD_SUBSCRIPTIONS } from './request.ts';
import type { RoomAnswer } from './room-answer.ts';
import type { WindowRoom, Windows } from './windows.ts';

/** A section of the answer. */
export interface ExtensionAnswer {
  readonly name: string;
  readonly json: string;
  /** Whether somebody who waits is to be told at once. */
  readonly isNews: boolean;
}

export interface ExtensionOptions {
  readonly run: SyncRun;
  readonly extensions: Extensions;
  readonly windows: Windows;
  /** What the answer tells of rooms, by internal id. */
  readonly answers: ReadonlyMap<Position, RoomAnswer>;
  /** Up to where the client knows a room of the windows; undefined where it does not know it. */
  readonly seenOf: (room: Position) => Position | undefined;
  readonly recent: RecentChanges;
  readonly typing: Typing;
  readonly typingSince: TypingSince | undefined;
  /** The account data of rooms that was set since the last answer, by room id. */
  readonly accountData: AccountDataNews;
}

/** Account data that was set since the last answer; all of it for a new client. */
export interface AccountDataNews {
  readonly global: readonly AccountDataEntry[];
  readonly byRoom: ReadonlyMap<string, readonly AccountDataEntry[]>;
}

/** The sections of the extensions that were asked for. */
export async function extensionAnswers(options: ExtensionOptions): Promise<ExtensionAnswer[]> {
  const { run, extensions, recent } = options;
  const answers: ExtensionAnswer[] = [];
  const { toDevice, accountData, receipts, typing, threadSubscriptions } = extensions;
  if (toDevice !== undefined) answers.push(messagesAnswer(run, toDevice));
  if (extensions.hasE2ee) {
    const lists = await deviceListsText(run, recent);
    const text = lists === undefined ? '' : `"device_lists":${lists},`;
    answers.push({
      name: 'e2ee',
      json: `{${text}${keyCountsText(run.reader, run.viewer)}}`,
      isNews: lists !== undefined,
    });
  }
  if (accountData !== undefined) answers.push(...accountDataAnswer(options, accountData));
  if (receipts !== undefined) answers.push(...receiptsAnswer(options, receipts));
  if (typing !== undefined) answers.push(...typingAnswer(options, typing));
  if (threadSubscriptions !== undefined) answers.push(...threadsAnswer(run, threadSubscriptions));
  return answers;
}

/**
 * The `since` of the messages to a device, which has a token of its own: the position of the last one that was told, and which
 * life of the log it is of, where that is not the first.
 */
const MESSAGES_TOKEN = /^(\d{1,15})(?:g(\d{1,9}))?$/;

/** @throws {MatrixError} M_INVALID_PARAM */
export function messagesSeen(reader: Reader, since: string | undefined): Position {
  if (since === undefined || since === '') return BEFORE_FIRST;
  const match = MESSAGES_TOKEN.exec(since);
  if (match === null) throw invalidParam('This is not a token for messages to devices.');
  const gone = firstGone(reader, Number(match[2] ?? 0));
  return Math.min(Number(match[1]), gone === undefined ? Number.MAX_SAFE_INTEGER : gone - 1);
}

function messagesToken(reader: Reader, position: Position): string {
  const life = currentLife(reader);
  return life === 0 ? `${position}` : `${position}g${life}`;
}

function messagesAnswer(
  { reader, viewer, upTo }: SyncRun,
  { limit = MAX_DEVICE_MESSAGES, since }: NonNullable<Extensions['toDevice']>,
): ExtensionAnswer {
  const most = Math.max(1, Math.min(limit, MAX_DEVICE_MESSAGES));
  const after = Math.min(messagesSeen(reader, since), upTo);
  const events: string[] = [];
  let next = upTo;
  let last = after;
  for (const { at, eventJson } of waitingMessages(reader, viewer.userId, viewer.deviceKey, {
    after,
    upTo,
    limit: most + 1,
  })) {
    if (events.length === most) {
      next = last;
      break;
    }
    events.push(eventJson);
    last = at;
  }
  return {
    name: 'to_device',
    json: `{"next_batch":"${messagesToken(reader, Math.max(next, 0))}","events":[${events.join(',')}]}`,
    isNews: events.length > 0,
  };
}

/** Whether an extension is to tell of a room. Source: MSC3959, MSC3960. */
function isInScope({ lists, rooms }: Scope, window: WindowRoom): boolean {
  const isListed = lists === undefined ? window.lists.length > 0 : window.lists.some((name) => lists.has(name));
  return isListed || (rooms === undefined ? window.isSubscribed : rooms.has(window.room.roomId));
}

/** Those of the rooms that were looked at, since something happened there, of which an extension is to tell. */
function* changedInScope({ windows, answers }: ExtensionOptions, scope: Scope): Generator<WindowRoom> {
  for (const id of answers.keys()) {
    const window = windows.rooms.get(id);
    if (window !== undefined && isInScope(scope, window)) yield window;
  }
}

/** Since when a room's news are to be told; undefined for all of them. */
function sinceOf({ answers, seenOf }: ExtensionOptions, { room }: WindowRoom): Position | undefined {
  return answers.get(room.id)?.isInitial === true ? undefined : seenOf(room.id);
}

/** The account data that was set since an answer. */
export function accountDataNewsOf({ reader, viewer, isInitial, since }: SyncRun): AccountDataNews {
  const global: AccountDataEntry[] = [];
  const byRoom = new Map<string, AccountDataEntry[]>();
  const entries = isInitial
    ? accountDataForFirstSync(reader, viewer.userId)
    : accountDataForSync(reader, viewer.userId, since);
  for (const entry of entries) {
    const { roomId } = entry;
    if (roomId === undefined) global.push(entry);
    // A new client gets the data of each room with the room; what is global comes first.
    else if (isInitial) break;
    else byRoom.set(roomId, [...(byRoom.get(roomId) ?? []), entry]);
  }
  return { global, byRoom };
}

function accountDataAnswer(options: ExtensionOptions, scope: Scope): ExtensionAnswer[] {
  const { run, accountData } = options;
  const rooms: string[] = [];
  const tell = (window: WindowRoom): void => {
    const entries = roomEntries(options, window);
    if (entries.length > 0) rooms.push(`${JSON.stringify(window.room.roomId)}:[${textsOf(entries).join(',')}]`);
  };
  for (const window of changedInScope(options, scope)) tell(window);
  for (const roomId of accountData.byRoom.keys()) {
    const id = findRoom(run.reader, roomId)?.id;
    const window = id === undefined || options.answers.has(id) ? undefined : options.windows.rooms.get(id);
    if (window !== undefined && isInScope(scope, window)) tell(window);
  }
  if (accountData.global.length === 0 && rooms.length === 0) return [];
  const json = `{"global":[${textsOf(accountData.global).join(',')}],"rooms":{${rooms.join(',')}}}`;
  return [{ name: 'account_data', json, isNews: !run.isInitial }];
}

function roomEntries(options: ExtensionOptions, window: WindowRoom): readonly AccountDataEntry[] {
  const { run, accountData } = options;
  const { roomId } = window.room;
  const since = sinceOf(options, window);
  if (since === undefined) return [...roomAccountData(run.reader, run.viewer.userId, roomId)];
  if (since === run.since) return accountData.byRoom.get(roomId) ?? [];
  return [...accountDataForSync(run.reader, run.viewer.userId, since)].filter((entry) => entry.roomId === roomId);
}

function textsOf(entries: readonly AccountDataEntry[]): string[] {
  return entries.map(({ type, contentJson }) => accountDataJson(type, contentJson));
}

function receiptsAnswer(options: ExtensionOptions, scope: Scope): ExtensionAnswer[] {
  const { run, recent } = options;
  const rooms: string[] = [];
  const changed = run.isInitial ? undefined : recent.roomsSince(run.reader, run.since);
  for (const window of changedInScope(options, scope)) {
    const { id, roomId, row } = window.room;
    if (row.membership !== 'join') continue;
    const since = sinceOf(options, window);
    if (since === run.since && changed?.has(id) === false) continue;
    const contents = receiptContentsSince(run.reader, roomId, since ?? BEFORE_FIRST, run.viewer.userId, run.ignored);
    const content = since === undefined ? receiptsAt(contents, options, window) : mergedReceipts(contents);
    if (content !== undefined) {
      rooms.push(`${JSON.stringify(roomId)}:{"type":"m.receipt","content":${JSON.stringify(content)}}`);
    }
  }
  return rooms.length === 0 ? [] : [{ name: 'receipts', json: `{"rooms":{${rooms.join(',')}}}`, isNews: true }];
}

/** At first, the receipts at the events that are shown, and the user's own. Source: MSC3960. */
function receiptsAt(
  contents: readonly ReceiptContent[],
  { run, answers }: ExtensionOptions,
  { room }: WindowRoom,
): ReceiptContent | undefined {
  const shown = new Set(answers.get(room.id)?.eventIds);
  const own = run.viewer.userId;
  const kept = contents.map((content) => {
    const part: ReceiptContent = {};
    for (const [eventId, byType] of Object.entries(content)) {
      for (const [type, byUser] of Object.entries(byType)) {
        for (const [userId, receipt] of Object.entries(byUser)) {
          if (!shown.has(eventId) && userId !== own) continue;
          part[eventId] ??= {};
          part[eventId][type] ??= {};
          part[eventId][type][userId] = receipt;
        }
      }
    }
    return part;
  });
  return mergedReceipts(kept);
}

/** One room has one event here: of several receipts of one user at one event, the last one counts. */
function mergedReceipts(contents: readonly ReceiptContent[]): ReceiptContent | undefined {
  const merged: ReceiptContent = {};
  for (const content of contents) {
    for (const [eventId, byType] of Object.entries(content)) {
      for (const [type, byUser] of Object.entries(byType)) {
        merged[eventId] ??= {};
        merged[eventId][type] = { ...merged[eventId][type], ...byUser };
      }
    }
  }
  return Object.keys(merged).length === 0 ? undefined : merged;
}

function typingAnswer(options: ExtensionOptions, scope: Scope): ExtensionAnswer[] {
  const { run, typing, typingSince, windows } = options;
  const mayHaveNews = mayHaveTyping(typing.serial, typingSince);
  const rooms: string[] = [];
  for (const window of mayHaveNews ? windows.rooms.values() : changedInScope(options, scope)) {
    const { roomId, row } = window.room;
    if (row.membership !== 'join' || !isInScope(scope, window)) continue;
    const since = sinceOf(options, window);
    const isCurrent = since === run.since && typingSince?.isCurrent === true;
    const users = isCurrent ? typing.typingSince(roomId, typingSince.serial) : typing.usersIn(roomId);
    // Who was seen typing by the last run of the server types no more, for all that is known.
    if (users === undefined || (!isCurrent && users.length === 0)) continue;
    const shown = users.filter((userId) => !run.ignored.has(userId));
    rooms.push(`${JSON.stringify(roomId)}:{"type":"m.typing","content":{"user_ids":${JSON.stringify(shown)}}}`);
  }
  return rooms.length === 0 ? [] : [{ name: 'typing', json: `{"rooms":{${rooms.join(',')}}}`, isNews: true }];
}

function threadsAnswer(
  { reader, viewer, since, upTo, isInitial }: SyncRun,
  { limit = DEFAULT_CHANGES }: NonNullable<Extensions['threadSubscriptions']>,
): ExtensionAnswer[] {
  const { json, olderUpTo } = subscriptionChanges(reader, viewer.userId, { after: since, upTo, limit });
  if (json === '') return [];
  const previous = olderUpTo === undefined ? '' : `,"prev_batch":"${olderUpTo}"`;
  return [{ name: THREAD_SUBSCRIPTIONS, json: `{${json}${previous}}`, isNews: !isInitial }];
}
