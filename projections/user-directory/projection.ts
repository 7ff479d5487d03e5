/**
 * Which users may be meant by a few letters: the words of names and user ids. Whether somebody may see them, and under which
 * name, is for who asks to look up. It lies in the environment of the search, since nobody waits for it.
 */
import { readAccountRecord } from '#projections/accounts/records.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple } from '#projections/engine/table.ts';
import { PROFILE_SET, readProfile } from '#projections/profiles/records.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { wordsOf } from '#projections/search/words.ts';
import { fitsIdLength, isUserId, localpartOf } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { LogRecord } from '#streams/event-log.ts';

/** Names of one remote user that are indexed, the newest: in each room they may have another. */
const MAX_NAMES = 8;
/** Characters of a name that count. */
const MAX_NAME_LENGTH = 256;
/** Words of one user that are indexed. */
const MAX_WORDS = 64;

/** A user as the directory knows them. */
export interface DirectoryUserRow {
  /** Whether they have an account here; their name is then that of their profile. */
  readonly isLocal: boolean;
  /** Local, and not to be found: a guest, or closed. */
  readonly isHidden: boolean;
  /** The oldest first. */
  readonly names: readonly string[];
}

export const directoryUsers = defineTable({
  name: 'user-directory.users',
  key: tuple<[userId: string]>(str),
  value: msgpack<DirectoryUserRow>(),
  why: 'Says which words are there for a user, so that they can be taken out.',
});

export const directoryWords = defineTable({
  name: 'user-directory.words',
  key: tuple<[word: string, userId: string]>(str, str),
  value: empty,
  why: 'Who is meant by the beginning of a word is one range.',
});

const accountStreams = defineTable({
  name: 'user-directory.account-streams',
  key: tuple<[stream: string]>(str),
  value: str,
  why: "The record of an account's end names only its stream.",
});

/** Kinds of records that say something about users; with the events of rooms, all that the directory is made of. */
export const DIRECTORY_KINDS = ['user.registered', 'user.guest_registered', 'user.deactivated', PROFILE_SET] as const;

export const userDirectoryProjection: Projection = {
  name: 'user-directory',
  version: 1,
  tables: [directoryUsers, directoryWords, accountStreams],
  apply(tx, record) {
    switch (record.kind) {
      case PDU_KIND:
        return applyPdu(tx, record);
      case PROFILE_SET:
        return applyProfile(tx, record);
      case 'user.registered':
      case 'user.guest_registered':
      case 'user.deactivated':
        return applyAccount(tx, record);
    }
  },
};

function applyAccount(tx: Writer, record: LogRecord): void {
  const read = readAccountRecord(record);
  if (read?.kind === 'user.registered') {
    const { userId, isGuest = false } = read.fields;
    tx.put(accountStreams, [record.stream], userId);
    // What other servers said of the id before is not theirs.
    change(tx, userId, () => ({ isLocal: true, isHidden: isGuest, names: [] }));
    return;
  }
  const userId = tx.get(accountStreams, [record.stream]);
  if (userId === undefined || read === undefined) return;
  const isHidden = read.kind === 'user.deactivated';
  change(tx, userId, (before) => ({ isLocal: true, isHidden, names: before?.names ?? [] }));
}

function applyProfile(tx: Writer, record: LogRecord): void {
  const profile = readProfile(record);
  if (profile?.field !== 'displayname') return;
  const name = profile.valueJson === undefined ? undefined : parseJson(profile.valueJson);
  change(tx, profile.userId, (before) => ({
    isLocal: true,
    isHidden: before?.isHidden ?? false,
    names: typeof name === 'string' ? [shortened(name)] : [],
  }));
}

/** Remote users are known by their memberships, also those with which the server comes into a room. */
function applyPdu(tx: Writer, record: LogRecord): void {
  const read = readPduRecord(record);
  if (read === undefined || read.pdu.type !== 'm.room.member') return;
  const { disposition } = read.meta;
  const { state_key: userId, content } = read.pdu;
  if (disposition === 'rejected' || disposition === 'soft_failed' || content.membership !== 'join') return;
  if (userId === undefined || !isUserId(userId) || !fitsIdLength(userId)) return;
  const before = tx.get(directoryUsers, [userId]);
  if (before?.isLocal === true) return;
  const name = typeof content.displayname === 'string' ? shortened(content.displayname) : undefined;
  if (before !== undefined && (name === undefined || before.names.includes(name))) return;
  const names = [...(before?.names ?? []), ...(name === undefined ? [] : [name])].slice(-MAX_NAMES);
  change(tx, userId, () => ({ isLocal: false, isHidden: false, names }));
}

function shortened(name: string): string {
  return name.slice(0, MAX_NAME_LENGTH).toWellFormed();
}

function change(tx: Writer, userId: string, to: (before: DirectoryUserRow | undefined) => DirectoryUserRow): void {
  const before = tx.get(directoryUsers, [userId]);
  const after = to(before);
  const old = before === undefined ? new Set<string>() : wordsOfUser(userId, before);
  const now = wordsOfUser(userId, after);
  for (const word of old) if (!now.has(word)) tx.remove(directoryWords, [word, userId]);
  for (const word of now) if (!old.has(word)) tx.put(directoryWords, [word, userId], true);
  tx.put(directoryUsers, [userId], after);
}

function wordsOfUser(userId: string, { isHidden, names }: DirectoryUserRow): ReadonlySet<string> {
  if (isHidden) return new Set();
  const words = [...wordsOf(localpartOf(userId)), ...names.flatMap(wordsOf)];
  return new Set(words.slice(0, MAX_WORDS));
}

/** A user who may be meant. */
export interface DirectoryCandidate extends DirectoryUserRow {
  readonly userId: string;
}

/** The users who have a word with this beginning, each once. The beginning is folded already. */
export function* usersWithWord(reader: Reader, beginning: string): Generator<DirectoryCandidate> {
  const seen = new Set<string>();
  for (const [word, userId] of reader.keys(directoryWords, { gte: [beginning] })) {
    if (!word.startsWith(beginning)) return;
    if (seen.has(userId)) continue;
    seen.add(userId);
    const row = reader.get(directoryUsers, [userId]);
    if (row !== undefined && !row.isHidden) yield { userId, ...row };
  }
}
