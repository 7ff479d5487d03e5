/**
 * Keeps the device lists of users of other servers. Their servers tell of each change and which one came before it; where one
 * is missing, the whole list is asked for.
 * https://spec.matrix.org/v1.19/server-server-api/#device-management
 */
import { outdatedListsFrom, remoteListOf } from '#projections/encryption/key-queries.ts';
import type { RemoteListRow } from '#projections/encryption/key-tables.ts';
import {
  type RemoteDevice,
  remoteDeviceRecord,
  remoteDevicesStream,
} from '#projections/encryption/remote-device-records.ts';
import { sharesRoomWith } from '#projections/encryption/remote-devices.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { type FederationClient, federationPath } from '#src/federation/client.ts';
import type { Destinations } from '#src/federation/destinations.ts';
import { FederationError } from '#src/federation/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import { Lru } from '#src/sync/lru.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import { deviceListOf } from './told-keys.ts';

/** Lists that are asked for at the same time because they are outdated; those that somebody waits for are not counted. */
const MAX_REFRESHING = 16;
/** How often it is looked which lists are outdated. */
const REFRESH_INTERVAL_MS = 5_000;
/** Outdated lists that are looked at in one go. */
const MAX_LOOKED_AT = 200;
/** How long a list is left alone that could not be had, at first and at most. */
const FIRST_PAUSE_MS = 10_000;
const MAX_PAUSE_MS = 60 * 60_000;
/** A pause is stretched or shortened by up to this share of it. */
const JITTER = 0.2;
/** Users whose pauses are remembered. */
const MAX_PAUSES = 20_000;
/** How often a list is asked for at most that changes while it is on its way. */
const MAX_ATTEMPTS = 3;
/** For so long a change that is older than a list may still be on its way; it is in the list already. */
const LATE_MS = 10 * 60_000;
/** Lists of which it is remembered when they came. */
const MAX_LISTED = 20_000;
const DEADLINE_MS = 30_000;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

export interface RemoteDeviceListsOptions {
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly client: FederationClient;
  readonly destinations: Destinations;
  readonly serverName: string;
  readonly newRecordId: () => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
  /** From 0 up to 1; default `Math.random`. */
  readonly random?: () => number;
}

/** A change of a device as its owner's server tells it. */
export interface DeviceChange {
  readonly userId: string;
  readonly streamId: number;
  /** The changes that it follows. */
  readonly previousIds: readonly number[];
  readonly device: RemoteDevice;
  readonly isDeleted: boolean;
}

/** New cross-signing keys as JSON texts; null for what stays. */
export interface SigningKeyChange {
  readonly userId: string;
  readonly masterJson: string | null;
  readonly selfSigningJson: string | null;
}

interface Refresh {
  readonly done: Promise<boolean>;
  /** Whether something changed since the list was asked for, and the newest number of it where all of it has numbers. */
  hasNews: boolean;
  toldOf: number | undefined;
  /** Something changed of which clients were not told because the list was to be here soon. */
  hasUntold: boolean;
}

interface Pause {
  readonly untilMs: number;
  readonly lengthMs: number;
}

export class RemoteDeviceLists {
  readonly #options: RemoteDeviceListsOptions;
  readonly #refreshing = new Map<string, Refresh>();
  readonly #pauses = new Lru<string, Pause>(MAX_PAUSES);
  readonly #listed = new Lru<string, { readonly streamId: number; readonly atMs: number }>(MAX_LISTED);
  readonly #stops: (() => void)[] = [];
  readonly #closing = new AbortController();
  /** Where the next look at the outdated lists begins. */
  #cursor = '';

  constructor(options: RemoteDeviceListsOptions) {
    this.#options = options;
  }

  /** Begins to ask for lists that are outdated. */
  start(): void {
    const timer = setInterval(() => this.#refreshSome(), REFRESH_INTERVAL_MS).unref();
    this.#stops.push(() => clearInterval(timer));
  }

  /** Stops; what is under way is broken off. */
  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    this.#closing.abort(new Error('the server stops'));
    await Promise.allSettled([...this.#refreshing.values()].map(({ done }) => done));
  }

  /** Whether the list of a user is here and has all that was told of it. */
  isCurrent(userId: string): boolean {
    return remoteListOf(this.#options.reader, userId)?.isOutdated === false;
  }

  /** Whether a user's server tells this one of changes: it shares a room with them. */
  isTold(userId: string): boolean {
    return sharesRoomWith(this.#options.reader, userId, this.#options.serverName);
  }

  /** Takes in a change. It, or that the list is outdated, is in the log when the promise resolves. */
  async change({ userId, streamId, previousIds, device, isDeleted }: DeviceChange): Promise<void> {
    await this.#apply(userId, streamId, (list) => {
      if (list.streamIds.includes(streamId) || this.#isLate(userId, streamId)) return [];
      const follows = previousIds.length > 0 && previousIds.every((id) => list.streamIds.includes(id));
      if (!follows) return undefined;
      const fields = { userId, streamId, device, isDeleted };
      return [remoteDeviceRecord(this.#options.newRecordId(), 'remote_devices.changed', fields)];
    });
  }

  /** Takes in new cross-signing keys, as {@link change} does. */
  async changeSigningKeys(change: SigningKeyChange): Promise<void> {
    const { masterJson, selfSigningJson } = change;
    await this.#apply(change.userId, undefined, () => {
      // That there are none any more is not said in so many words.
      if (masterJson === null && selfSigningJson === null) return undefined;
      return [remoteDeviceRecord(this.#options.newRecordId(), 'remote_devices.signing_keys_changed', change)];
    });
  }

  /** Asks for the list of a user, unless that is being done already. Resolves to whether it is here now. */
  refresh(userId: string): Promise<boolean> {
    const running = this.#refreshing.get(userId);
    if (running !== undefined) return running.done;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const refresh: Refresh = { done: promise, toldOf: undefined, hasNews: false, hasUntold: false };
    this.#refreshing.set(userId, refresh);
    void this.#fetch(userId, refresh)
      .then(
        (isHere) => isHere,
        (error: unknown) => {
          this.#tellFailure(userId, error);
          return false;
        },
      )
      .then((isHere) => {
        this.#refreshing.delete(userId);
        if (isHere) this.#pauses.delete(userId);
        else {
          const isFirst = this.#pause(userId);
          if ((isFirst || refresh.hasUntold) && !this.#closing.signal.aborted) void this.#tellOutdated(userId);
        }
        resolve(isHere);
      });
    return promise;
  }

  /** `decide` gives the records for a list that is here and current; undefined if it has to be asked for. */
  async #apply(
    userId: string,
    streamId: number | undefined,
    decide: (list: RemoteListRow) => readonly RecordDraft[] | undefined,
  ): Promise<void> {
    const { reader, commands } = this.#options;
    const { result: isOutdated } = await commands.run(remoteDevicesStream(userId), () => {
      if (!this.isTold(userId)) return { records: [], result: false };
      const list = remoteListOf(reader, userId);
      const records = list === undefined || list.isOutdated ? undefined : decide(list);
      if (records !== undefined) return { records, result: false };
      // Here, where the list cannot come in between.
      this.#noteNews(userId, streamId);
      const isHereSoon = this.#refreshing.has(userId) || this.#canRefresh(userId);
      if (list?.isOutdated && isHereSoon) return { records: [], result: true };
      return { records: [this.#outdatedRecord(userId, !isHereSoon)], result: true };
    });
    if (!isOutdated) return;
    if (!this.#refreshing.has(userId) && this.#canRefresh(userId)) void this.refresh(userId);
    const running = this.#refreshing.get(userId);
    if (running !== undefined) running.hasUntold = true;
  }

  /** Numbers grow, but a server that was set up anew may begin again: so only for a while is a lower one an older change. */
  #isLate(userId: string, streamId: number): boolean {
    const listed = this.#listed.get(userId);
    return listed !== undefined && streamId < listed.streamId && this.#options.clock() - listed.atMs < LATE_MS;
  }

  /** The list that is on its way may not have it. */
  #noteNews(userId: string, streamId: number | undefined): void {
    const running = this.#refreshing.get(userId);
    if (running === undefined) return;
    // Once something without a number came, no list that was asked for before is new enough.
    const isNumbered = streamId !== undefined && (!running.hasNews || running.toldOf !== undefined);
    running.toldOf = isNumbered ? Math.max(streamId, running.toldOf ?? streamId) : undefined;
    running.hasNews = true;
  }

  #outdatedRecord(userId: string, isTold: boolean): RecordDraft {
    const { serverName: keptBy, newRecordId } = this.#options;
    return remoteDeviceRecord(newRecordId(), 'remote_devices.outdated', { userId, keptBy, isTold });
  }

  /** Has clients ask for the keys that changed, since it will take a while until they are here. */
  async #tellOutdated(userId: string): Promise<void> {
    const { reader, commands, logger } = this.#options;
    try {
      await commands.run(remoteDevicesStream(userId), () => {
        const isOutdated = remoteListOf(reader, userId)?.isOutdated === true && this.isTold(userId);
        return { records: isOutdated ? [this.#outdatedRecord(userId, true)] : [], result: undefined };
      });
    } catch (error) {
      logger.warn({ err: error }, 'it could not be recorded that keys of a user of another server changed');
    }
  }

  #canRefresh(userId: string): boolean {
    return this.#refreshing.size < MAX_REFRESHING && !this.#isPausing(userId);
  }

  async #fetch(userId: string, refresh: Refresh): Promise<boolean> {
    const { reader, commands, serverName: keptBy, newRecordId } = this.#options;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      refresh.hasNews = false;
      refresh.toldOf = undefined;
      const list = await this.#ask(userId);
      const { result: isHere } = await commands.run(remoteDevicesStream(userId), () => {
        // What came meanwhile may be in the list already, which its number says; new cross-signing keys have none.
        const isOld = refresh.hasNews && (refresh.toldOf === undefined || refresh.toldOf > list.streamId);
        if (isOld) return { records: [], result: undefined };
        if (!this.isTold(userId)) return { records: [], result: remoteListOf(reader, userId) !== undefined };
        const fields = { userId, keptBy, ...list };
        this.#listed.set(userId, { streamId: list.streamId, atMs: this.#options.clock() });
        return { records: [remoteDeviceRecord(newRecordId(), 'remote_devices.listed', fields)], result: true };
      });
      if (isHere !== undefined) return isHere;
    }
    return false;
  }

  async #ask(userId: string) {
    const destination = serverNameOf(userId) ?? '';
    const answer = await this.#options.client.request({
      destination,
      method: 'GET',
      path: federationPath`/_matrix/federation/v1/user/devices/${userId}`,
      deadlineMs: DEADLINE_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
      signal: this.#closing.signal,
    });
    const list = deviceListOf(answer, userId);
    if (list === undefined) {
      throw new FederationError('bad_answer', destination, 'its list of devices makes no sense, or is too long');
    }
    return list;
  }

  #tellFailure(userId: string, error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#options.logger.info(
      { server: serverNameOf(userId), reason: String(error) },
      'a list of devices could not be had',
    );
  }

  /** Whether it is the first of several. */
  #pause(userId: string): boolean {
    const { clock, random = Math.random } = this.#options;
    const before = this.#pauses.get(userId);
    const lengthMs = Math.min(before === undefined ? FIRST_PAUSE_MS : before.lengthMs * 2, MAX_PAUSE_MS);
    this.#pauses.set(userId, { untilMs: clock() + lengthMs * (1 + JITTER * (2 * random() - 1)), lengthMs });
    return before === undefined;
  }

  #isPausing(userId: string): boolean {
    const pause = this.#pauses.get(userId);
    return pause !== undefined && this.#options.clock() < pause.untilMs;
  }

  /** Asks for some of the lists that are outdated, those in turn that may be asked for. */
  #refreshSome(): void {
    const { reader, destinations, clock } = this.#options;
    let lookedAt = 0;
    let last: string | undefined;
    for (const userId of outdatedListsFrom(reader, this.#cursor, MAX_LOOKED_AT)) {
      if (this.#refreshing.size >= MAX_REFRESHING) break;
      last = userId;
      lookedAt += 1;
      const trouble = destinations.troubleOf(serverNameOf(userId) ?? '');
      if (this.#isPausing(userId) || (trouble !== undefined && clock() < trouble.retryAtMs)) continue;
      void this.refresh(userId);
    }
    this.#cursor = lookedAt < MAX_LOOKED_AT || last === undefined ? '' : `${last}\0`;
  }
}
