import { type AliasRow, aliasesOf, blockerOf, findAlias, isListed } from '#projections/directory/projection.ts';
import { DIRECTORY_STREAM, type DirectoryChange, directoryRecord } from '#projections/directory/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { isRoomAlias, isRoomId, serverNameOf } from '#protocol/identifiers.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { MatrixError } from '#src/http/errors.ts';

export interface DirectoryOptions {
  readonly commands: StreamCommands;
  readonly reader: Reader;
  readonly serverName: string;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
}

/** Names of rooms: aliases, and the list of public rooms. Source: client-server API, "Room aliases", "Published room directory". */
export class Directory {
  readonly #options: DirectoryOptions;
  /** Aliases whose rooms are being made. */
  readonly #claimed = new Set<string>();

  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  /**
   * The room id that a room id or alias stands for.
   * @throws {MatrixError} M_INVALID_PARAM if it is neither, M_NOT_FOUND if nothing has this alias.
   */
  roomOf(roomIdOrAlias: string): string {
    if (isRoomId(roomIdOrAlias)) return roomIdOrAlias;
    return this.resolve(roomIdOrAlias).roomId;
  }

  /**
   * What an alias points to.
   * @throws {MatrixError} M_INVALID_PARAM if it is none, M_NOT_FOUND if nothing has it.
   */
  resolve(alias: string): AliasRow {
    if (!isRoomAlias(alias))
      throw new MatrixError('M_INVALID_PARAM', `${alias} is neither a room id nor a room alias.`);
    const row = findAlias(this.#options.reader, alias);
    if (row === undefined) throw new MatrixError('M_NOT_FOUND', `No room has the alias ${alias}.`);
    return row;
  }

  /** The aliases of a room that this server knows. */
  aliasesOf(roomId: string): string[] {
    return aliasesOf(this.#options.reader, roomId);
  }

  /**
   * Makes sure that an alias may be made on this server.
   * @throws {MatrixError} M_INVALID_PARAM if it is no alias of this server, M_ROOM_IN_USE if it is taken.
   */
  checkFree(alias: string, takenCode: 'M_ROOM_IN_USE' | 'M_UNKNOWN' = 'M_ROOM_IN_USE'): void {
    const { reader, serverName } = this.#options;
    if (!isRoomAlias(alias)) throw new MatrixError('M_INVALID_PARAM', `${alias} is not a room alias.`);
    if (serverNameOf(alias) !== serverName) {
      throw new MatrixError('M_INVALID_PARAM', `Aliases on this server end in :${serverName}.`);
    }
    if (this.#claimed.has(alias) || findAlias(reader, alias)) {
      throw new MatrixError(takenCode, `The alias ${alias} is taken.`, {
        status: takenCode === 'M_UNKNOWN' ? 409 : 400,
      });
    }
  }

  /** Points a free alias of this server to a room. @throws {MatrixError} as {@link checkFree}; 409 if it is taken. */
  async add(alias: string, roomId: string, creator: string): Promise<void> {
    await this.#change(() => {
      this.checkFree(alias, 'M_UNKNOWN');
      return { kind: 'alias.added', alias, roomId, creator };
    });
  }

  /**
   * Makes a room and points a free alias of this server to it. Meanwhile nobody else gets the alias, so that a room whose
   * first events name it always has it.
   *
   * @throws {MatrixError} as {@link checkFree}, and what `makeRoom` throws.
   */
  async addToNew(alias: string, creator: string, makeRoom: () => Promise<string>): Promise<string> {
    this.checkFree(alias);
    this.#claimed.add(alias);
    try {
      const roomId = await makeRoom();
      await this.#change(() => ({ kind: 'alias.added', alias, roomId, creator }));
      return roomId;
    } finally {
      this.#claimed.delete(alias);
    }
  }

  /** Removes an alias. @throws {MatrixError} M_NOT_FOUND if there is no such alias. */
  async remove(alias: string): Promise<void> {
    await this.#change(() => {
      this.resolve(alias);
      return { kind: 'alias.removed', alias };
    });
  }

  /** Whether a room is in the list of public rooms. */
  isListed(roomId: string): boolean {
    return isListed(this.#options.reader, roomId);
  }

  /** Puts a room on the list of public rooms, or takes it off. */
  async setListed(roomId: string, listed: boolean): Promise<void> {
    await this.#change(() => (this.isListed(roomId) === listed ? undefined : listing(roomId, listed)));
  }

  /** Lets nobody of this server into a room any more, or lifts that. The room need not be known here. */
  async setBlocked(roomId: string, isBlocked: boolean, by: string): Promise<void> {
    await this.#change(() =>
      (blockerOf(this.#options.reader, roomId) !== undefined) === isBlocked
        ? undefined
        : { kind: 'room.block_changed', roomId, isBlocked, by },
    );
  }

  /** Gives a room the aliases of another, and its place on the list of public rooms: for a room that replaces it. */
  async move(oldRoomId: string, newRoomId: string): Promise<void> {
    const { reader } = this.#options;
    if (!this.isListed(oldRoomId) && this.aliasesOf(oldRoomId).length === 0) return;
    await this.#changeAll(() => [
      ...this.aliasesOf(oldRoomId).flatMap((alias): DirectoryChange[] => {
        const creator = findAlias(reader, alias)?.creator;
        if (creator === undefined) return [];
        return [
          { kind: 'alias.removed', alias },
          { kind: 'alias.added', alias, roomId: newRoomId, creator },
        ];
      }),
      ...(this.isListed(oldRoomId) ? [listing(oldRoomId, false), listing(newRoomId, true)] : []),
    ]);
  }

  async #change(decide: () => DirectoryChange | undefined): Promise<void> {
    await this.#changeAll(() => {
      const change = decide();
      return change === undefined ? [] : [change];
    });
  }

  async #changeAll(decide: () => readonly DirectoryChange[]): Promise<void> {
    await this.#options.commands.run(DIRECTORY_STREAM, () => ({
      records: decide().map((change) => directoryRecord(this.#options.newRecordId(), change)),
      result: undefined,
    }));
  }
}

function listing(roomId: string, isListed: boolean): DirectoryChange {
  return { kind: 'room.listed', roomId, isListed };
}
