/**
 * Who is typing where. Kept in memory only: it is over in seconds and belongs in no log.
 * https://spec.matrix.org/v1.19/client-server-api/#typing-notifications
 */
import { type Bus, roomTopic } from '#src/bus/bus.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { Serials } from './serials.ts';

/** How long somebody types who does not say for how long. */
export const DEFAULT_TYPING_MS = 30_000;
/** Longest time that one request may claim; clients repeat theirs every few seconds. */
export const MAX_TYPING_MS = 120_000;
/** Most people typing at once on this node; beyond it new ones are not shown. */
export const MAX_TYPISTS = 20_000;
/** Most rooms remembered after the last one stopped typing; the one that was quiet longest goes first. */
export const MAX_QUIET_ROOMS = 20_000;

/** Somebody who goes on typing is told of again after so long: other servers do not wait much longer. */
export const REPEAT_MS = 30_000;

/** Told when somebody begins, goes on or stops typing. */
export type TypingListener = (roomId: string, userId: string, isTyping: boolean) => void;

interface Typist {
  readonly timer: NodeJS.Timeout;
  /** When it was last told, in milliseconds of the process. */
  readonly toldAtMs: number;
}

interface RoomTyping {
  /** {@link Typing.serial} at the last change. */
  serial: number;
  /** Who is typing, in the order of starting, with the timer that ends it. */
  readonly typists: Map<string, Typist>;
}

export interface TypingOptions {
  readonly bus: Bus;
  /** Numbers the changes; default a sequence of its own. */
  readonly serials?: Serials;
  /** Default {@link MAX_TYPISTS}. */
  readonly maxTypists?: number;
  /** Default {@link MAX_QUIET_ROOMS}. */
  readonly maxQuietRooms?: number;
}

/** The typing notifications of this node. Each change has a serial number, which sync tokens carry. */
export class Typing implements Disposable {
  readonly #bus: Bus;
  readonly #serials: Serials;
  readonly #maxTypists: number;
  readonly #maxQuietRooms: number;
  readonly #active = new Map<string, RoomTyping>();
  /** Serial of the change by which the last one stopped, by room, oldest first. */
  readonly #quiet = new Map<string, number>();
  readonly #listeners = new Set<TypingListener>();
  #serial = 0;
  #typists = 0;
  /** Changes up to this serial may belong to rooms that have been forgotten. */
  #forgottenSerial = 0;

  constructor({
    bus,
    serials = new Serials(),
    maxTypists = MAX_TYPISTS,
    maxQuietRooms = MAX_QUIET_ROOMS,
  }: TypingOptions) {
    this.#bus = bus;
    this.#serials = serials;
    this.#maxTypists = maxTypists;
    this.#maxQuietRooms = maxQuietRooms;
  }

  /** Serial of the last change of who is typing anywhere; 0 before the first. */
  get serial(): number {
    return this.#serial;
  }

  /** The user types in the room for so many milliseconds from now, at most {@link MAX_TYPING_MS}. */
  start(roomId: string, userId: string, durationMs: number = DEFAULT_TYPING_MS): void {
    const room = this.#active.get(roomId);
    const running = room?.typists.get(userId);
    if (running === undefined && this.#typists >= this.#maxTypists) return;
    clearTimeout(running?.timer);
    const timer = setTimeout(() => this.stop(roomId, userId), Math.min(durationMs, MAX_TYPING_MS));
    timer.unref();
    if (room !== undefined && running !== undefined) {
      const nowMs = performance.now();
      const isRepeated = nowMs - running.toldAtMs >= REPEAT_MS;
      room.typists.set(userId, { timer, toldAtMs: isRepeated ? nowMs : running.toldAtMs });
      if (isRepeated) this.#tell(roomId, userId, true);
      return;
    }
    const typist = { timer, toldAtMs: performance.now() };
    this.#typists += 1;
    this.#serial = this.#serials.next();
    if (room === undefined) {
      this.#quiet.delete(roomId);
      this.#active.set(roomId, { serial: this.#serial, typists: new Map([[userId, typist]]) });
    } else {
      room.serial = this.#serial;
      room.typists.set(userId, typist);
    }
    this.#bus.publish([roomTopic(roomId)], BEFORE_FIRST);
    this.#tell(roomId, userId, true);
  }

  /** The user types no more: said so, sent the message, left, or ran out of time. */
  stop(roomId: string, userId: string): void {
    const room = this.#active.get(roomId);
    const typist = room?.typists.get(userId);
    if (room === undefined || typist === undefined) return;
    clearTimeout(typist.timer);
    room.typists.delete(userId);
    this.#typists -= 1;
    this.#serial = this.#serials.next();
    room.serial = this.#serial;
    if (room.typists.size === 0) this.#becomeQuiet(roomId);
    this.#bus.publish([roomTopic(roomId)], BEFORE_FIRST);
    this.#tell(roomId, userId, false);
  }

  /** Calls `listener` with every change, and again for who goes on typing; returns how to stop. */
  onChange(listener: TypingListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Who types in the room now, in the order of starting: for a client that comes without a token. */
  usersIn(roomId: string): readonly string[] {
    const room = this.#active.get(roomId);
    return room === undefined ? [] : [...room.typists.keys()];
  }

  /** Who types in the room now; undefined if nobody did lately, either. */
  lately(roomId: string): readonly string[] | undefined {
    return this.#active.has(roomId) || this.#quiet.has(roomId) ? this.usersIn(roomId) : undefined;
  }

  /** Who types in the room now, if that may have changed after the serial number; undefined if it has not. */
  typingSince(roomId: string, serial: number): readonly string[] | undefined {
    const room = this.#active.get(roomId);
    if (room !== undefined) return room.serial > serial ? [...room.typists.keys()] : undefined;
    return (this.#quiet.get(roomId) ?? this.#forgottenSerial) > serial ? [] : undefined;
  }

  /** Stops all timers. */
  [Symbol.dispose](): void {
    for (const { typists } of this.#active.values()) for (const { timer } of typists.values()) clearTimeout(timer);
    this.#active.clear();
    this.#quiet.clear();
    this.#typists = 0;
  }

  #tell(roomId: string, userId: string, isTyping: boolean): void {
    for (const listener of this.#listeners) listener(roomId, userId, isTyping);
  }

  #becomeQuiet(roomId: string): void {
    this.#active.delete(roomId);
    if (this.#quiet.size >= this.#maxQuietRooms) {
      for (const [oldest, serial] of this.#quiet) {
        this.#quiet.delete(oldest);
        this.#forgottenSerial = serial;
        break;
      }
    }
    this.#quiet.set(roomId, this.#serial);
  }
}
