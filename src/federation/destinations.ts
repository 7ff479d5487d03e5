/**
 * Which servers are in trouble, and how long each is left alone. A server that cannot be reached is tried again after ever longer
 * times, with some chance in them so that not everybody who waits for it comes at once; any sign of life ends that.
 */

import type { Reader } from '#projections/engine/reader.ts';
import type { DestinationDown } from '#projections/federation/destination-records.ts';
import {
  DESTINATIONS_STREAM,
  type DestinationChange,
  destinationRecord,
} from '#projections/federation/destination-records.ts';
import { destinationDown, downDestinationsOf } from '#projections/federation/destinations.ts';
import { type Bus, serverTopic } from '#src/bus/bus.ts';
import { onServerBack } from '#src/bus/server-back.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Logger } from '#src/log/logger.ts';
import { Lru } from '#src/sync/lru.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { FederationError } from './errors.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** After the first failure. */
export const FIRST_INTERVAL_MS = 10 * SECOND_MS;
/** Each interval is so many times the one before. */
const GROWTH = 2;
export const MAX_INTERVAL_MS = 24 * HOUR_MS;
/** An interval is stretched or shortened by up to this share of it. */
const JITTER = 0.2;
/** The log hears of a server whose interval passes one of these, so at most so many times before it can be reached again. */
export const RECORDED_STEPS_MS: readonly number[] = [5 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, 23 * HOUR_MS];
/** Most servers whose troubles are held in memory. Of those beyond, what the log knows is known. */
const MAX_HELD = 50_000;

export interface DestinationsOptions {
  readonly reader: Reader;
  /** Tells every node of a server that is there again. */
  readonly bus: Bus;
  readonly commands: StreamCommands;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
  /** From 0 up to 1; default `Math.random`. */
  readonly random?: () => number;
}

/** A moment of a server's troubles: what was tried before it says nothing about what came after. */
export type Attempt = DestinationDown | undefined;

/** Keeps account of what can be reached. */
export class Destinations {
  readonly #options: DestinationsOptions;
  /** `null` where a server is known to be well, whatever the log said last. */
  readonly #held = new Lru<string, DestinationDown | null>(MAX_HELD);
  /** Those in trouble of whom the log need not know; as many as are held. */
  readonly #inTrouble = new Set<string>();
  readonly #writing = new Set<Promise<unknown>>();

  constructor(options: DestinationsOptions) {
    this.#options = options;
    // Of a sign of life that another node got nothing more is to be said.
    onServerBack(options.bus, (server) => this.#forgive(server));
  }

  #forgive(destination: string): void {
    if (this.troubleOf(destination) === undefined) return;
    this.#held.set(destination, null);
    this.#inTrouble.delete(destination);
  }

  /** Since when a server is in trouble and when it is tried again; undefined if it is well. */
  troubleOf(destination: string): DestinationDown | undefined {
    const held = this.#held.get(destination);
    return held === undefined ? destinationDown(this.#options.reader, destination) : (held ?? undefined);
  }

  /** How many servers are in trouble. */
  get downCount(): number {
    let count = this.#inTrouble.size;
    for (const { destination } of downDestinationsOf(this.#options.reader)) {
      if (!this.#inTrouble.has(destination) && this.troubleOf(destination) !== undefined) count += 1;
    }
    return count;
  }

  /**
   * To be called before a request; what it gives belongs to {@link failed}.
   * @throws {FederationError} `backing_off` if the server is not to be tried yet.
   */
  begin(destination: string, isUrgent: boolean): Attempt {
    const trouble = this.troubleOf(destination);
    if (trouble !== undefined && !isUrgent && this.#options.clock() < trouble.retryAtMs) {
      const { retryAtMs } = trouble;
      const message = `not tried again before ${new Date(retryAtMs).toISOString()}`;
      throw new FederationError('backing_off', destination, message, { retryAtMs });
    }
    return trouble;
  }

  /** The server could not be reached. Of attempts that were under way together only the first counts. */
  failed(destination: string, attempt: Attempt): void {
    const before = this.troubleOf(destination);
    const { clock, random = Math.random } = this.#options;
    const now = clock();
    // Somebody who could not wait has learned nothing new.
    const wasTooEarly = before !== undefined && now < before.retryAtMs;
    if (before?.retryAtMs !== attempt?.retryAtMs || wasTooEarly) return;
    const intervalMs = before === undefined ? FIRST_INTERVAL_MS : Math.min(before.intervalMs * GROWTH, MAX_INTERVAL_MS);
    const jittered = Math.min(intervalMs * (1 + JITTER * (2 * random() - 1)), MAX_INTERVAL_MS);
    const trouble: DestinationDown = {
      sinceMs: before?.sinceMs ?? now,
      retryAtMs: Math.round(now + jittered),
      intervalMs,
    };
    this.#held.set(destination, trouble);
    if (this.#inTrouble.size < MAX_HELD) this.#inTrouble.add(destination);
    const passes = RECORDED_STEPS_MS.some((stepMs) => (before?.intervalMs ?? 0) < stepMs && stepMs <= intervalMs);
    if (passes) this.#record(destination, { kind: 'federation.destination_down', destination, ...trouble });
  }

  /** The server answered, or sent a request that it signed. */
  alive(destination: string): void {
    const trouble = this.troubleOf(destination);
    if (trouble === undefined) return;
    this.#forgive(destination);
    // What the log has not heard of need not be taken back; a record that is being written comes before this one.
    if (trouble.intervalMs >= (RECORDED_STEPS_MS[0] ?? 0)) {
      this.#record(destination, { kind: 'federation.destination_up', destination });
    }
    this.#options.bus.publish([serverTopic(destination)], BEFORE_FIRST);
  }

  /** Resolves when what was to be recorded has been. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing);
  }

  #record(destination: string, change: DestinationChange): void {
    const { commands, newRecordId, logger } = this.#options;
    const written = commands
      .run(DESTINATIONS_STREAM, () => ({ records: [destinationRecord(newRecordId(), change)], result: undefined }))
      .catch((error: unknown) => {
        // It is known in memory; a restart then only tries the server sooner.
        logger.warn({ err: error, destination }, 'it could not be recorded whether a server can be reached');
      })
      .finally(() => this.#writing.delete(written));
    this.#writing.add(written);
  }
}
