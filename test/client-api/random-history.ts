/** Random histories of two rooms, for tests that compare what a client was told bit by bit with what there is. */
import fc from 'fast-check';
import type { TestApplication, TestClient } from '#test/support/application.ts';
import { createRoom } from './sync-client.ts';

const WHAT = [
  ...['say', 'say', 'say', 'mention', 'reply', 'react', 'edit', 'name', 'noName', 'topic', 'rename', 'move', 'redact'],
  ...['read', 'readOwn', 'readPrivate', 'tag', 'untag', 'roomData', 'globalData', 'direct', 'fullyRead', 'mute'],
  ...['invite', 'kick', 'ban', 'unban', 'enter', 'exit', 'exit', 'knock', 'forget', 'hide', 'open', 'avatar', 'space'],
] as const;

/** Something that happens in one of the rooms. */
export interface Deed {
  readonly what: (typeof WHAT)[number];
  readonly room: number;
  readonly actor: number;
  readonly at: number;
}

/** Deeds, and what a test does between them. */
export function deedsAnd<M extends string>(
  ...more: readonly M[]
): fc.Arbitrary<Omit<Deed, 'what'> & { what: Deed['what'] | M }> {
  return fc.record({
    what: fc.constantFrom(...WHAT, ...more),
    room: fc.nat({ max: 1 }),
    actor: fc.nat({ max: 1 }),
    at: fc.nat({ max: 20 }),
  });
}

/** Whether it is one of the deeds. */
export function isDeed(step: { readonly what: string }): step is Deed {
  return (WHAT as readonly string[]).includes(step.what);
}

/**
 * Two rooms of `actors`, into and out of which the `watcher` goes. The first actor never leaves, so that somebody is there to let the
 * others in. What is refused is as good as what is done.
 */
export class History {
  readonly rooms: readonly string[];
  readonly #app: TestApplication;
  readonly #watcher: TestClient;
  readonly #actors: readonly TestClient[];
  /** Ids of what was said in each room, the newest last. */
  readonly #said = new Map<string, string[]>();

  private constructor(
    app: TestApplication,
    watcher: TestClient,
    actors: readonly TestClient[],
    rooms: readonly string[],
  ) {
    this.#app = app;
    this.#watcher = watcher;
    this.#actors = actors;
    this.rooms = rooms;
  }

  static async begin(app: TestApplication, watcher: TestClient, actors: readonly TestClient[]): Promise<History> {
    const [first = watcher] = actors;
    const power_level_content_override = { state_default: 0, events: {} };
    const rooms = [
      await createRoom(first, { preset: 'public_chat', power_level_content_override }),
      await createRoom(first, {
        preset: 'private_chat',
        initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
        power_level_content_override,
      }),
    ];
    return new History(app, watcher, actors, rooms);
  }

  async take({ what, room, actor, at }: Deed): Promise<void> {
    const roomId = this.rooms[room] ?? '';
    const [first = this.#watcher] = this.#actors;
    const by = this.#actors[actor] ?? first;
    const watcher = this.#watcher;
    const said = this.#said.get(roomId) ?? [];
    this.#said.set(roomId, said);
    const target = said.at(-1 - (at % Math.max(said.length, 1)));
    const now = String(this.#app.now());
    const text = { body: now, msgtype: 'm.text', 'm.mentions': {} };
    const inRoom = `/rooms/${roomId}`;
    const ofUser = `/user/${watcher.userId}`;
    const relation = (rel_type: string, more: object = {}): object => ({
      'm.relates_to': { rel_type, event_id: target, ...more },
    });
    const state = (type: string, content: object): Promise<unknown> =>
      by.call('PUT', `${inRoom}/state/${type}`, content);
    const done: Record<Deed['what'], () => Promise<unknown>> = {
      say: () => this.#send(by, roomId, text),
      mention: () => this.#send(by, roomId, { ...text, 'm.mentions': { user_ids: [watcher.userId] } }),
      reply: async () => target && this.#send(by, roomId, { ...text, ...relation('m.thread') }),
      edit: async () => target && this.#send(by, roomId, { ...text, 'm.new_content': text, ...relation('m.replace') }),
      react: async () =>
        target && by.call('PUT', `${inRoom}/send/m.reaction/${now}`, relation('m.annotation', { key: now })),
      redact: async () => target && first.call('PUT', `${inRoom}/redact/${target}/${now}`, {}),
      name: () => state('m.room.name', { name: now }),
      noName: () => state('m.room.name', {}),
      topic: () => state('m.room.topic', { topic: now }),
      avatar: () => state('m.room.avatar', { url: `mxc://localhost/${now}` }),
      space: () => state('m.space.child', { via: ['localhost'] }),
      hide: () => state('m.room.history_visibility', { history_visibility: 'joined' }),
      open: () => state('m.room.history_visibility', { history_visibility: 'shared' }),
      rename: () =>
        by.call('PUT', `${inRoom}/state/m.room.member/${by.userId}`, { membership: 'join', displayname: now }),
      move: async () => by !== first && this.#move(by, first, roomId),
      read: async () => target && by.call('POST', `${inRoom}/receipt/m.read/${target}`, {}),
      readOwn: async () => target && watcher.call('POST', `${inRoom}/receipt/m.read/${target}`, { thread_id: 'main' }),
      readPrivate: async () => target && watcher.call('POST', `${inRoom}/receipt/m.read.private/${target}`, {}),
      fullyRead: async () => target && watcher.call('POST', `${inRoom}/read_markers`, { 'm.fully_read': target }),
      tag: () => watcher.call('PUT', `${ofUser}${inRoom}/tags/u.a`, { order: at / 20 }),
      untag: () => watcher.call('DELETE', `${ofUser}${inRoom}/tags/u.a`),
      roomData: () => watcher.call('PUT', `${ofUser}${inRoom}/account_data/org.example`, { now }),
      globalData: () => watcher.call('PUT', `${ofUser}/account_data/org.example`, { now }),
      direct: () =>
        watcher.call('PUT', `${ofUser}/account_data/m.direct`, { [first.userId]: at % 2 === 0 ? [roomId] : [] }),
      mute: () =>
        at % 2 === 0
          ? watcher.call('PUT', `/pushrules/global/room/${roomId}`, { actions: [] })
          : watcher.call('DELETE', `/pushrules/global/room/${roomId}`),
      invite: () => first.call('POST', `${inRoom}/invite`, { user_id: watcher.userId }),
      kick: () => first.call('POST', `${inRoom}/kick`, { user_id: watcher.userId }),
      ban: () => first.call('POST', `${inRoom}/ban`, { user_id: watcher.userId }),
      unban: () => first.call('POST', `${inRoom}/unban`, { user_id: watcher.userId }),
      enter: () => watcher.call('POST', `${inRoom}/join`, {}),
      exit: () => watcher.call('POST', `${inRoom}/leave`, {}),
      knock: () => watcher.call('POST', `/knock/${roomId}`, {}),
      forget: () => watcher.call('POST', `${inRoom}/forget`, {}),
    };
    await done[what]();
  }

  async #send(by: TestClient, roomId: string, content: object): Promise<void> {
    const { body } = await by.call('PUT', `/rooms/${roomId}/send/m.room.message/${this.#app.now()}`, content);
    const { event_id: eventId } = body as { readonly event_id?: string };
    if (eventId !== undefined) this.#said.get(roomId)?.push(eventId);
  }

  async #move(who: TestClient, host: TestClient, roomId: string): Promise<void> {
    if ((await who.call('POST', `/rooms/${roomId}/join`, {})).status !== 200) {
      await host.call('POST', `/rooms/${roomId}/invite`, { user_id: who.userId });
      return;
    }
    if (this.#app.now() % 2 === 0) await who.call('POST', `/rooms/${roomId}/leave`, {});
  }
}
