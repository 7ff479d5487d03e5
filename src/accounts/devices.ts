/**
 * The devices of an account.
 * https://spec.matrix.org/v1.19/client-server-api/#device-management
 */
import { type DeviceRow, devices } from '#projections/accounts/tables.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { invalidParam, MatrixError, notFound } from '#src/http/errors.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { ActivityLog } from './activity.ts';
import { checkDeviceName, MAX_DEVICE_ID_BYTES } from './credentials.ts';
import { MAX_DEVICES_PER_USER } from './sessions.ts';
import type { UserCommands } from './user-commands.ts';

/** A device as its owner sees it. */
export interface Device {
  readonly deviceId: string;
  readonly displayName: string | undefined;
  /** Undefined when it was not seen since the server started. */
  readonly lastSeenIp: string | undefined;
  /** Milliseconds since the epoch; when it last got tokens if it was not seen since the server started. */
  readonly lastSeenAtMs: number;
  /** As it was sent last; undefined like {@link lastSeenIp}. */
  readonly userAgent: string | undefined;
}

export interface DevicesOptions {
  readonly reader: Reader;
  readonly commands: UserCommands;
  readonly activity: ActivityLog;
}

export class Devices {
  readonly #reader: Reader;
  readonly #commands: UserCommands;
  readonly #activity: ActivityLog;

  constructor({ reader, commands, activity }: DevicesOptions) {
    this.#reader = reader;
    this.#commands = commands;
    this.#activity = activity;
  }

  /** All devices of a user, by device id. */
  list(userId: string): Device[] {
    const rows = this.#reader.range(devices, { prefix: [userId] });
    return Array.from(rows, ({ key: [, deviceId], value }) => this.#describe(userId, deviceId, value));
  }

  /** Undefined if the user has no such device. */
  get(userId: string, deviceId: string): Device | undefined {
    const row = this.#row(userId, deviceId);
    return row && this.#describe(userId, deviceId, row);
  }

  /**
   * Makes a device that nobody is logged in on; one that is there already stays as it is.
   * @throws {MatrixError} `M_INVALID_PARAM` for an id that no device can have, `M_USER_LIMIT_EXCEEDED` where there are too many
   */
  async add(userId: string, deviceId: string): Promise<void> {
    if (deviceId === '' || Buffer.byteLength(deviceId) > MAX_DEVICE_ID_BYTES) {
      throw invalidParam(`A device id has 1 to ${MAX_DEVICE_ID_BYTES} bytes.`);
    }
    await this.#commands.run(userId, () => {
      if (this.#row(userId, deviceId) !== undefined) return { records: [], result: undefined };
      if (this.idsExcept(userId).length >= MAX_DEVICES_PER_USER) throw new MatrixError('M_USER_LIMIT_EXCEEDED');
      return { records: [this.#commands.record('device.added', { deviceId, displayName: null })], result: undefined };
    });
  }

  /** Gives a device another display name; the empty one for none. Throws `M_NOT_FOUND` if there is no such device. */
  async rename(userId: string, deviceId: string, name: string): Promise<void> {
    checkDeviceName(name);
    const displayName = name === '' ? null : name;
    await this.#commands.run(userId, () => {
      const row = this.#row(userId, deviceId);
      if (row === undefined) throw notFound('You have no such device.');
      const isSame = row.displayName === displayName;
      const records = isSame ? [] : [this.#commands.record('device.renamed', { deviceId, displayName })];
      return { records, result: undefined };
    });
  }

  /** Removes devices with their sessions; those that are not there count as removed. */
  async remove(userId: string, deviceIds: readonly string[]): Promise<void> {
    const { result: removed } = await this.#commands.run(userId, () => {
      const there = [...new Set(deviceIds)].filter((deviceId) => this.#row(userId, deviceId) !== undefined);
      return { records: this.removal(there), result: there };
    });
    for (const deviceId of removed) this.#activity.forget(userId, deviceId);
  }

  /** Removes all devices. */
  async removeAll(userId: string): Promise<void> {
    await this.#commands.run(userId, () => ({ records: this.removal(this.idsExcept(userId)), result: undefined }));
  }

  /** The ids of all devices but one. */
  idsExcept(userId: string, kept?: string): string[] {
    const keys = this.#reader.keys(devices, { prefix: [userId] });
    return Array.from(keys, ([, deviceId]) => deviceId).filter((deviceId) => deviceId !== kept);
  }

  /** The record that removes these devices; none for none. */
  removal(deviceIds: readonly string[]): RecordDraft[] {
    return deviceIds.length === 0 ? [] : [this.#commands.record('device.removed', { deviceIds })];
  }

  #row(userId: string, deviceId: string): DeviceRow | undefined {
    // Whatever is longer was never given to a device, and might not fit into a key.
    if (Buffer.byteLength(deviceId) > MAX_DEVICE_ID_BYTES) return undefined;
    return this.#reader.get(devices, [userId, deviceId]);
  }

  #describe(userId: string, deviceId: string, row: DeviceRow): Device {
    const activity = this.#activity.peek(userId, deviceId);
    return {
      deviceId,
      displayName: row.displayName ?? undefined,
      lastSeenIp: activity?.ip,
      lastSeenAtMs: activity?.seenAtMs ?? row.tokensAtMs,
      userAgent: activity?.userAgent,
    };
  }
}
