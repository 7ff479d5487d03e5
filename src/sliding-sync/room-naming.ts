/** What names a room: its name, its picture, and its members where it has no name. */
import { type Room, stateContent, stateEvent } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { SyncRun } from '#src/sync/run.ts';
import { heroesAt } from '#src/sync/summary.ts';
import type { StateNews } from './room-required-state.ts';

export interface NamingOptions {
  readonly endVersion: number;
  readonly news: StateNews;
  readonly isInitial: boolean;
  /** Whether the user is in the room; who has left may not know who came later. */
  readonly isJoined: boolean;
}

/** Members of a room's answer, where they are new. */
export async function namingTexts(
  run: SyncRun,
  room: Room,
  { endVersion, news, isInitial, isJoined }: NamingOptions,
): Promise<string[]> {
  const texts: string[] = [];
  const hasNameNews = news.has('m.room.name');
  if (!hasNameNews && !news.has('m.room.avatar') && !news.hasMembers) return texts;
  const { reader } = run;
  const name = textOf(stateContent(reader, room.id, 'm.room.name', '', endVersion)?.name);
  const tell = (member: string, value: string | undefined): void => {
    // At first, what is left out is not there; later, it has not changed.
    if (value !== undefined || !isInitial)
      texts.push(`"${member}":${value === undefined ? 'null' : JSON.stringify(value)}`);
  };
  if (hasNameNews) tell('name', name);
  if (news.has('m.room.avatar'))
    tell('avatar', textOf(stateContent(reader, room.id, 'm.room.avatar', '', endVersion)?.url));
  if (name === undefined && (hasNameNews || news.hasMembers)) {
    const { userId } = run.viewer;
    const heroes = isJoined
      ? await run.heroes.of(reader, room, userId, run.pacer)
      : await heroesAt({ reader, room: room.id, pacer: run.pacer }, endVersion, userId);
    texts.push(`"heroes":[${heroes.map((hero) => heroJson(run, room, hero, endVersion)).join(',')}]`);
  }
  return texts;
}

function heroJson({ reader }: SyncRun, room: Room, userId: string, version: number): string {
  const event = stateEvent(reader, room.id, 'm.room.member', userId, version);
  const content = event === undefined ? {} : (parseJson(event.contentJson) as JsonObject);
  return JSON.stringify({
    user_id: userId,
    displayname: textOf(content.displayname),
    avatar_url: textOf(content.avatar_url),
  });
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
