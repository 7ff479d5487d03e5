/**
 * What is new for a user: the work behind `/sync`.
 * https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
import type { Reader } from '#projections/engine/reader.ts';
import { accountTopic, type Bus, BusFullError, roomTopic, type Topic, userTopic } from '#src/bus/bus.ts';
import { Waiter } from '#src/bus/wait.ts';
import type { Filter } from '#src/client-api/filters/filter.ts';
import type { Acknowledgements } from '#src/encryption/acknowledgements.ts';
import type { Presence } from '#src/ephemeral/presence.ts';
import type { Serials } from '#src/ephemeral/serials.ts';
import type { Typing } from '#src/ephemeral/typing.ts';
import type { UnreadCounts } from '#src/push/unread.ts';
import { BEFORE_FIRST, type EventLog } from '#streams/event-log.ts';
import { BundledRelations } from './bundled-relations.ts';
import type { Viewer } from './client-event.ts';
import { deviceMessages, keyCountsText } from './device-news.ts';
import { ignoredUsers } from './ignored-users.ts';
import { LazyMembers } from './lazy-members.ts';
import { stillSeen } from './log-lives.ts';
import { type Answer, lookForNews, mayHaveTyping } from './look.ts';
import { SyncMemory } from './memory.ts';
import { sharedPacer } from './pacer.ts';
import { presenceNews } from './presence-news.ts';
import type { StateSection, SyncRun } from './run.ts';
import { StopSignal } from './stop-signal.ts';
import { formatSyncToken, type SyncToken } from './tokens.ts';

export interface SyncOptions {
  /** The committed projections. */
  readonly reader: Reader;
  readonly log: EventLog;
  readonly bus: Bus;
  readonly typing: Typing;
  readonly presence: Presence;
  /** Numbers what is new of both. */
  readonly serials: Serials;
  readonly acknowledgements: Acknowledgements;
  readonly unread: UnreadCounts;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Names this run of the server in tokens: a few lower-case letters and digits. */
  readonly epoch: string;
}

/** What a client asks for. */
export interface SyncRequest {
  readonly viewer: Viewer;
  readonly filter: Filter;
  /** Missing when the client comes for the first time. */
  readonly since: SyncToken | undefined;
  readonly isFullState: boolean;
  readonly stateSection: StateSection;
  /** How long to wait for something new, in milliseconds. */
  readonly timeoutMs: number;
  /** Asked before news is told and after each wait; throws when whoever waits was logged out meanwhile. */
  readonly checkAccess: () => void;
  /** Ends the waiting: the client has gone, or the server stops. Only read when there is something to wait for. */
  readonly stops: () => readonly AbortSignal[];
}

/** Answers syncs of all users, and remembers what saves work between them; all of that can be lost at any time. */
export class Sync {
  readonly #options: SyncOptions;
  /** For other kinds of sync as well. */
  readonly memory = new SyncMemory();
  readonly #lazyMembers = new LazyMembers();

  constructor(options: SyncOptions) {
    this.#options = options;
  }

  /**
   * A token for what is here now, for clients that did not sync. It acknowledges no messages to devices, since those come by
   * sync alone.
   */
  now(): SyncToken {
    const { reader, serials, epoch } = this.#options;
    return { position: reader.frontier, serial: serials.last, epoch, inbox: 0 };
  }

  /** JSON text of the answer: at once if there is something new, else when there is, or when the time is up. */
  async respond(asked: SyncRequest): Promise<string> {
    const request = this.#ofThisLife(asked);
    this.#acknowledge(request);
    if (request.since === undefined || request.isFullState || request.timeoutMs <= 0) {
      return (await this.#look(request, request.since)).json;
    }
    return this.#waitForNews(request, request.since);
  }

  /** Whoever has seen what a restore took away is told everything that is, beside what is new since then. */
  #ofThisLife(request: SyncRequest): SyncRequest {
    if (request.since === undefined) return request;
    const { token, isCut } = stillSeen(this.#options.reader, request.since);
    return isCut ? { ...request, since: token, isFullState: true } : request;
  }

  /** The token that a device comes with says which messages it has got. */
  #acknowledge({ viewer, since }: SyncRequest): void {
    if (since === undefined) return;
    const { acknowledgements, reader } = this.#options;
    acknowledgements.note(viewer.userId, viewer.deviceKey, Math.min(since.inbox ?? since.position, reader.frontier));
  }

  async #waitForNews(request: SyncRequest, since: SyncToken): Promise<string> {
    const deadline = performance.now() + request.timeoutMs;
    using stop = new StopSignal(request.stops());
    let seen = since;
    for (;;) {
      // Registered before looking, so that nothing which comes in between is missed.
      using waiter = await this.#waiter(request.viewer.userId);
      const answer = await this.#look(request, seen);
      if (!answer.isEmpty || waiter === undefined) {
        // Who was logged out while this was looked for hears no more of it.
        request.checkAccess();
        return answer.json;
      }
      const outcome = await waiter.wait({ signal: stop.signal, timeoutMs: deadline - performance.now() });
      request.checkAccess();
      if (outcome !== 'woken') return answer.json;
      seen = answer.next;
    }
  }

  /** Undefined where the node holds as many waiters as it can: the client then gets its answer at once. */
  async #waiter(userId: string): Promise<Waiter | undefined> {
    const { reader, bus } = this.#options;
    const topics: Topic[] = [userTopic(userId), accountTopic(userId)];
    for (const { roomId } of await this.memory.joinedRooms.of(reader, userId)) topics.push(roomTopic(roomId));
    try {
      return new Waiter(bus, topics);
    } catch (error) {
      if (error instanceof BusFullError) return undefined;
      throw error;
    }
  }

  async #look(request: SyncRequest, since: SyncToken | undefined): Promise<Answer> {
    const { reader, log, typing, presence, serials, clock, epoch } = this.#options;
    const { userId } = request.viewer;
    // One event may wake very many at once.
    if (sharedPacer.isDue) await sharedPacer.pause();
    const isCurrent = since?.epoch === epoch;
    const typingSince = since && { serial: since.serial, isCurrent };
    const isQuiet = isCurrent && since.serial === serials.last && since.position >= reader.frontier;
    const rooms = isQuiet ? [] : await this.memory.joinedRooms.of(reader, userId);
    // From here to the first pause of lookForNews everything is of one moment.
    const { last: serial } = serials;
    const hasTyping = mayHaveTyping(typing.serial, typingSince);
    const position = reader.frontier;
    // A token from the future of this log (it was restored from a copy) counts as one of now.
    const seen = since === undefined ? BEFORE_FIRST : Math.min(since.position, position);
    const messages = deviceMessages(reader, request.viewer, Math.min(since?.inbox ?? seen, seen), position);
    const ignored = ignoredUsers(reader, userId);
    const presenceEvents = isQuiet
      ? []
      : presenceNews({
          reader,
          presence,
          userId,
          filter: request.filter.presence,
          seenSerial: isCurrent ? since.serial : undefined,
          rooms,
          memberships: since && this.memory.recent.membershipsSince(reader, seen),
          ignored,
          nowMs: clock(),
        });
    const next: SyncToken = {
      position,
      serial,
      epoch,
      ...(messages.seenUpTo !== undefined && { inbox: messages.seenUpTo }),
    };
    const nextBatch = formatSyncToken(next);
    const hasSeenAll =
      isCurrent &&
      since.position >= position &&
      !hasTyping &&
      presenceEvents.length === 0 &&
      messages.events.length === 0;
    if (hasSeenAll && !request.isFullState) {
      const json = `{${keyCountsText(reader, request.viewer)},"next_batch":"${nextBatch}"}`;
      return { isEmpty: true, json, next };
    }
    const run: SyncRun = {
      reader,
      log,
      viewer: request.viewer,
      filter: request.filter,
      since: seen,
      isInitial: since === undefined,
      upTo: next.position,
      isFullState: request.isFullState,
      stateSection: request.stateSection,
      nowMs: clock(),
      pacer: sharedPacer,
      heroes: this.memory.heroes,
      lazyMembers: this.#lazyMembers,
      shared: this.memory.shared,
      unread: this.#options.unread,
      ignored,
      bundles: new BundledRelations(reader, ignored),
    };
    return lookForNews(run, {
      next,
      nextBatch,
      typing,
      typingSince,
      typingRooms: hasTyping ? rooms : [],
      recent: this.memory.recent,
      messages,
      presence: presenceEvents,
    });
  }
}
