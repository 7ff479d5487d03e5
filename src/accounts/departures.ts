/**
 * Takes the owners of closed accounts out of their rooms, in the background. What is left to do is in a table, so a restart
 * goes on with it.
 */
import { accountRecord } from '#projections/accounts/records.ts';
import { departing, users } from '#projections/accounts/tables.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { roomById, roomsOf } from '#projections/rooms/queries.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import { leave, type MembershipContext } from '#src/rooms/membership.ts';

/** Rooms that one user leaves at the same time: one group commit takes them together. */
const ROOMS_AT_ONCE = 16;
const LEFT_BY_LEAVING: ReadonlySet<string> = new Set(['join', 'invite', 'knock']);

export interface DeparturesOptions extends MembershipContext {
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly logger: Logger;
}

export class Departures {
  readonly #options: DeparturesOptions;
  #running: Promise<void> | undefined;
  #isStopped = false;
  /** Somebody was added while the table was being worked through. */
  #isStale = false;

  constructor(options: DeparturesOptions) {
    this.#options = options;
  }

  /** Works through what is to be done, if that is not under way. To be called at the start, and when an account is closed. */
  wake(): void {
    this.#isStale = true;
    if (this.#isStopped) return;
    this.#running ??= this.#workThrough().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when all that is to be done is done, or has failed for now. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Stops between two rooms; the rest waits for the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.settled();
  }

  async #workThrough(): Promise<void> {
    while (this.#isStale && !this.#isStopped) {
      this.#isStale = false;
      for (const [userId] of Array.from(this.#options.reader.keys(departing))) {
        if (this.#isStopped) return;
        await this.#depart(userId);
      }
    }
  }

  async #depart(userId: string): Promise<void> {
    const { reader, commands, newRecordId, logger } = this.#options;
    try {
      for (let rooms = this.#roomsLeft(userId); rooms.length > 0; rooms = rooms.slice(ROOMS_AT_ONCE)) {
        if (this.#isStopped) return;
        await Promise.all(rooms.slice(0, ROOMS_AT_ONCE).map((roomId) => this.#leave(userId, roomId)));
      }
      const user = reader.get(users, [userId]);
      if (user === undefined) return;
      await commands.run(user.stream, () => {
        const records = reader.has(departing, [userId]) ? [accountRecord(newRecordId(), 'user.departed', {})] : [];
        return { records, result: undefined };
      });
    } catch (error) {
      logger.warn(
        { err: error },
        'The owner of a closed account could not leave all rooms; the next start tries again.',
      );
    }
  }

  async #leave(userId: string, roomId: string): Promise<void> {
    try {
      await leave(this.#options, userId, roomId);
    } catch (error) {
      // A room whose rules do not let somebody leave is not left; everything else may work another time.
      if (!(error instanceof MatrixError) || error.status >= 500) throw error;
    }
  }

  #roomsLeft(userId: string): string[] {
    const { reader } = this.#options;
    const roomIds: string[] = [];
    for (const { room, membership } of roomsOf(reader, userId)) {
      const row = LEFT_BY_LEAVING.has(membership) ? roomById(reader, room) : undefined;
      if (row !== undefined) roomIds.push(row.roomId);
    }
    return roomIds;
  }
}
