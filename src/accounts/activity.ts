/**
 * When and from where each device was last seen. Only in memory: writing a record for every request would drown the log, and
 * say more about people than is worth keeping. After a restart a device counts as last seen when it last got tokens.
 */

/** Devices remembered at once; at the bound the one that was added longest ago is forgotten. */
export const MAX_ACTIVE_DEVICES = 100_000;

/** Changed in place at every request. */
export interface Activity {
  /** Milliseconds since the epoch. */
  seenAtMs: number;
  ip: string;
  userAgent: string | undefined;
}

export class ActivityLog {
  readonly #byDevice = new Map<string, Activity>();
  readonly #maxDevices: number;

  constructor(maxDevices: number = MAX_ACTIVE_DEVICES) {
    this.#maxDevices = maxDevices;
  }

  /** The device's entry to write to; made if there is none. */
  of(userId: string, deviceId: string): Activity {
    const key = keyOf(userId, deviceId);
    let activity = this.#byDevice.get(key);
    if (activity === undefined) {
      if (this.#byDevice.size >= this.#maxDevices) this.#dropOldest();
      activity = { seenAtMs: 0, ip: '', userAgent: undefined };
      this.#byDevice.set(key, activity);
    }
    return activity;
  }

  /** What is known of a device; undefined if it was not seen since the start. */
  peek(userId: string, deviceId: string): Readonly<Activity> | undefined {
    const activity = this.#byDevice.get(keyOf(userId, deviceId));
    return activity === undefined || activity.seenAtMs === 0 ? undefined : activity;
  }

  forget(userId: string, deviceId: string): void {
    this.#byDevice.delete(keyOf(userId, deviceId));
  }

  #dropOldest(): void {
    for (const key of this.#byDevice.keys()) {
      this.#byDevice.delete(key);
      return;
    }
  }
}

/** User ids hold no spaces. */
function keyOf(userId: string, deviceId: string): string {
  return `${userId} ${deviceId}`;
}
