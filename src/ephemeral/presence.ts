/**
 * Who is online. Kept in memory only: it is over in minutes and belongs in no log.
 * https://spec.matrix.org/v1.19/client-server-api/#presence
 *
 * What each device of a local user does adds up to the user's presence; that of remote users comes ready from their servers.
 */
import { type Bus, roomTopic, type Topic, userTopic } from '#src/bus/bus.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { PresenceChanges } from './presence-changes.ts';
import type { Serials } from './serials.ts';

export const PRESENCE_STATES = ['online', 'unavailable', 'offline'] as const;
export type PresenceState = (typeof PRESENCE_STATES)[number];

/** A device that has not asked for news for so long is not there any more. */
export const DEVICE_TIMEOUT_MS = 30_000;
/** Somebody who is online and has done nothing for so long is idle. */
export const IDLE_AFTER_MS = 5 * 60_000;
/** For so long after doing something people count as active, and nobody is told of what else they do. */
export const ACTIVE_FOR_MS = 60_000;
/** Servers repeat what they say of their users; of whom nothing was heard for so long is not online any more. */
export const REMOTE_TIMEOUT_MS = 30 * 60_000;
/** How often it is looked who has become idle or gone. */
export const SWEEP_INTERVAL_MS = 5_000;
/** Changes are told together that come within so long: one person's may wake thousands. */
export const WAKE_DELAY_MS = 50;
/** Users whose presence is remembered; at the bound those who went offline longest ago are forgotten, and no new ones shown. */
export const MAX_USERS = 50_000;
/** Longest status message, in UTF-16 code units: it goes to everybody the user shares a room with. */
export const MAX_STATUS_LENGTH = 1_000;
/** Users that are looked at for one to forget. */
const MAX_FORGET_TRIES = 100;

/** What others see of a user. */
export interface UserPresence {
  readonly presence: PresenceState;
  /** When they last did something, in milliseconds since the epoch; undefined if that is not known. */
  readonly lastActiveAtMs: number | undefined;
  /** Online, and did something within {@link ACTIVE_FOR_MS}. */
  readonly isCurrentlyActive: boolean;
  readonly statusMsg: string | undefined;
}

/** What another server says of its user. */
export interface RemotePresence {
  readonly presence: PresenceState;
  /** Milliseconds. */
  readonly lastActiveAgoMs: number | undefined;
  readonly isCurrentlyActive: boolean;
  readonly statusMsg: string | undefined;
}

interface Device {
  state: 'online' | 'unavailable';
  /** Requests of it that wait for news. */
  waiting: number;
  /** When it last asked for news. */
  seenAtMs: number;
  /** When its user last did something with it. */
  activeAtMs: number;
}

interface Tracked {
  readonly devices: Map<string, Device>;
  /** Set for users of other servers. */
  remote: (RemotePresence & { readonly heardAtMs: number }) | undefined;
  lastActiveAtMs: number | undefined;
  statusMsg: string | undefined;
  /** What others were told last. */
  shown: UserPresence;
}

export interface PresenceOptions {
  readonly bus: Bus;
  readonly serials: Serials;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly isEnabled: boolean;
  /** Ids of the rooms that a user is in. */
  readonly roomsOf: (userId: string) => Iterable<string>;
  /** Default {@link MAX_USERS}. */
  readonly maxUsers?: number;
}

const OFFLINE: UserPresence = {
  presence: 'offline',
  lastActiveAtMs: undefined,
  isCurrentlyActive: false,
  statusMsg: undefined,
};

/** The presence of the users of this server, and of those that other servers tell of. */
export class Presence implements Disposable {
  readonly isEnabled: boolean;
  readonly #options: PresenceOptions;
  readonly #users = new Map<string, Tracked>();
  readonly #changes = new PresenceChanges();
  readonly #listeners = new Set<(userIds: readonly string[]) => void>();
  /** Whose change nobody was woken for yet. */
  readonly #untold = new Set<string>();
  #wakeTimer: NodeJS.Timeout | undefined;
  #sweepTimer: NodeJS.Timeout | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.isEnabled = options.isEnabled;
  }

  /** Serial of the last change; 0 before the first. */
  get serial(): number {
    return this.#changes.last;
  }

  /**
   * A device asks for news, and so is there, until the returned function is called and for a while after it. With `offline`
   * the request says nothing about the user.
   */
  attend(userId: string, deviceKey: string, state: PresenceState): () => void {
    if (!this.isEnabled || state === 'offline') return NOTHING;
    const nowMs = this.#options.clock();
    const user = this.#track(userId);
    if (user === undefined) return NOTHING;
    const device = this.#device(user, deviceKey, nowMs);
    device.seenAtMs = nowMs;
    if (device.state !== state) {
      device.state = state;
      // Coming back counts as doing something.
      if (state === 'online') this.#bump(user, device, nowMs);
    }
    device.waiting += 1;
    this.#reconsider(userId, user, nowMs);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      device.waiting -= 1;
      device.seenAtMs = this.#options.clock();
    };
  }

  /** A user did something with a device: sent, read, typed. */
  act(userId: string, deviceKey: string): void {
    if (!this.isEnabled) return;
    const user = this.#users.get(userId);
    const device = user?.devices.get(deviceKey);
    // Who hides, or never asks for news, does not become visible by sending.
    if (user === undefined || device === undefined) return;
    const nowMs = this.#options.clock();
    device.state = 'online';
    this.#bump(user, device, nowMs);
    this.#reconsider(userId, user, nowMs);
  }

  /** A user says how they are. Without a status message the one before is gone. */
  set(userId: string, deviceKey: string, state: PresenceState, statusMsg: string | undefined): void {
    if (!this.isEnabled) return;
    const user = this.#track(userId);
    if (user === undefined) return;
    const nowMs = this.#options.clock();
    user.statusMsg = statusMsg;
    if (state === 'offline') {
      user.devices.delete(deviceKey);
    } else {
      const device = this.#device(user, deviceKey, nowMs);
      device.state = state;
      device.seenAtMs = nowMs;
      this.#bump(user, device, nowMs);
    }
    this.#reconsider(userId, user, nowMs);
  }

  /** Another server says how one of its users is. */
  receive(userId: string, said: RemotePresence): void {
    if (!this.isEnabled) return;
    const user = this.#track(userId);
    if (user === undefined) return;
    const nowMs = this.#options.clock();
    user.remote = { ...said, heardAtMs: nowMs };
    user.statusMsg = said.statusMsg;
    if (said.lastActiveAgoMs !== undefined) user.lastActiveAtMs = nowMs - said.lastActiveAgoMs;
    this.#reconsider(userId, user, nowMs);
  }

  /** Tells of a user anew, though they are as they were: others are shown a name or an avatar with it that has changed. */
  announce(userId: string): void {
    if (this.isEnabled) this.#tell(userId);
  }

  /** How a user is now, with the true time of their last activity; offline for one of whom nothing is known. */
  of(userId: string): UserPresence {
    const user = this.#users.get(userId);
    return user === undefined ? OFFLINE : presenceOf(user, this.#options.clock());
  }

  /** Whether the user is not offline. */
  isAwake(userId: string): boolean {
    const user = this.#users.get(userId);
    return user !== undefined && isShownAwake(user);
  }

  /** Users who are not offline, in no particular order. */
  *awake(): Generator<string> {
    for (const [userId, user] of this.#users) if (isShownAwake(user)) yield userId;
  }

  /** How many users something is known of. */
  get size(): number {
    return this.#users.size;
  }

  /** Users whose presence changed after a serial; undefined if that is too long ago to tell. */
  changedSince(serial: number): ReadonlySet<string> | undefined {
    return this.#changes.since(serial);
  }

  /**
   * Calls `listener` with users whose presence changed and of whom no other server says how they are, for the servers that
   * those of this server share rooms with; returns how to stop.
   */
  onLocalChanges(listener: (userIds: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks who has become idle, or gone. It happens by itself, now and then. */
  sweep(): void {
    const nowMs = this.#options.clock();
    let isAnybodyAwake = false;
    for (const [userId, user] of this.#users) {
      if (!isShownAwake(user)) continue;
      for (const [key, device] of user.devices) {
        if (device.waiting === 0 && nowMs - device.seenAtMs >= DEVICE_TIMEOUT_MS) user.devices.delete(key);
      }
      if (user.remote !== undefined && nowMs - user.remote.heardAtMs >= REMOTE_TIMEOUT_MS) user.remote = undefined;
      this.#reconsider(userId, user, nowMs);
      if (isShownAwake(user)) isAnybodyAwake = true;
    }
    if (!isAnybodyAwake) this.#stopSweeping();
  }

  /** Stops all timers. */
  [Symbol.dispose](): void {
    this.#stopSweeping();
    clearTimeout(this.#wakeTimer);
    this.#users.clear();
  }

  #device(user: Tracked, deviceKey: string, nowMs: number): Device {
    let device = user.devices.get(deviceKey);
    if (device === undefined) {
      // It comes as unavailable, so that being online is a change, and an activity.
      device = { state: 'unavailable', waiting: 0, seenAtMs: nowMs, activeAtMs: 0 };
      user.devices.set(deviceKey, device);
    }
    return device;
  }

  #bump(user: Tracked, device: Device, nowMs: number): void {
    device.activeAtMs = nowMs;
    user.lastActiveAtMs = nowMs;
  }

  #track(userId: string): Tracked | undefined {
    const known = this.#users.get(userId);
    if (known !== undefined) return known;
    if (this.#users.size >= (this.#options.maxUsers ?? MAX_USERS) && !this.#forgetOne()) return undefined;
    const user: Tracked = {
      devices: new Map(),
      remote: undefined,
      lastActiveAtMs: undefined,
      statusMsg: undefined,
      shown: OFFLINE,
    };
    this.#users.set(userId, user);
    return user;
  }

  #forgetOne(): boolean {
    let tries = 0;
    for (const [userId, { shown, devices }] of this.#users) {
      if (shown.presence === 'offline' && devices.size === 0) return this.#users.delete(userId);
      tries += 1;
      if (tries >= MAX_FORGET_TRIES) return false;
    }
    return false;
  }

  /** Tells of a user what others do not know yet. */
  #reconsider(userId: string, user: Tracked, nowMs: number): void {
    const now = presenceOf(user, nowMs);
    const { shown } = user;
    const isSame =
      now.presence === shown.presence &&
      now.statusMsg === shown.statusMsg &&
      now.isCurrentlyActive === shown.isCurrentlyActive;
    if (isSame) return;
    user.shown = now;
    // Those who went offline longest ago are the first to be forgotten.
    if (now.presence === 'offline') {
      this.#users.delete(userId);
      this.#users.set(userId, user);
    } else {
      this.#startSweeping();
    }
    this.#tell(userId);
  }

  #tell(userId: string): void {
    this.#changes.add(this.#options.serials.next(), userId);
    this.#untold.add(userId);
    if (this.#wakeTimer !== undefined) return;
    this.#wakeTimer = setTimeout(() => this.#wake(), WAKE_DELAY_MS);
    this.#wakeTimer.unref();
  }

  #wake(): void {
    this.#wakeTimer = undefined;
    const userIds = [...this.#untold];
    this.#untold.clear();
    const topics = new Set<Topic>();
    for (const userId of userIds) {
      topics.add(userTopic(userId));
      for (const roomId of this.#options.roomsOf(userId)) topics.add(roomTopic(roomId));
    }
    this.#options.bus.publish(topics, BEFORE_FIRST);
    const local = userIds.filter((userId) => this.#users.get(userId)?.remote === undefined);
    if (local.length > 0) for (const listener of this.#listeners) listener(local);
  }

  #startSweeping(): void {
    if (this.#sweepTimer !== undefined) return;
    this.#sweepTimer = setInterval(() => this.sweep(), SWEEP_INTERVAL_MS);
    this.#sweepTimer.unref();
  }

  #stopSweeping(): void {
    clearInterval(this.#sweepTimer);
    this.#sweepTimer = undefined;
  }
}

const NOTHING = (): void => undefined;

function isShownAwake({ shown }: Tracked): boolean {
  return shown.presence !== 'offline';
}

function presenceOf({ devices, remote, lastActiveAtMs, statusMsg }: Tracked, nowMs: number): UserPresence {
  let presence: PresenceState = remote?.presence ?? 'offline';
  for (const { state, activeAtMs } of devices.values()) {
    if (state === 'online' && nowMs - activeAtMs < IDLE_AFTER_MS) presence = 'online';
    else if (presence === 'offline') presence = 'unavailable';
  }
  const wasActiveLately = lastActiveAtMs !== undefined && nowMs - lastActiveAtMs < ACTIVE_FOR_MS;
  const isCurrentlyActive = presence === 'online' && (remote?.isCurrentlyActive ?? wasActiveLately);
  return { presence, lastActiveAtMs, isCurrentlyActive, statusMsg };
}
