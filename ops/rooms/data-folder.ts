import { coreProjections } from '#projections/catalogue.ts';
import { hiddenByUnfinished } from '#projections/compliance/hidden-by.ts';
import { findAlias } from '#projections/directory/projection.ts';
import { EnvironmentFolder } from '#projections/engine/folder.ts';
import { HiddenRows } from '#projections/engine/hidden-rows.ts';
import { machineBootId } from '#projections/engine/mark.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { NothingToCheck } from '#projections/engine/replay.ts';
import { RowReader } from '#projections/engine/row-access.ts';
import { findRoom, type Room } from '#projections/rooms/queries.ts';
import { dataPaths } from '#src/data-paths.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import type { ReadOnlyLog } from '#streams/raw-log.ts';

/** A data folder at one moment, read beside the server that writes it or without one. */
export interface DataFolder {
  readonly reader: Reader;
  /** Has at least all that the reader shows. */
  readonly log: Pick<ReadOnlyLog, 'readAt' | 'readStream'>;
}

/**
 * Lets somebody read a data folder: the projections as they are now and stay meanwhile, and the log. While a server runs its
 * file of projections can grow as long as this takes.
 *
 * @throws {NothingToCheck} if there are no projections of this version of the program.
 * @throws `EnvironmentDamaged`, or what `openLogReadOnly` throws; each says what to do.
 */
export async function readDataFolder<T>(dataDir: string, read: (folder: DataFolder) => Promise<T>): Promise<T> {
  const paths = dataPaths(dataDir);
  const folder = new EnvironmentFolder({
    dir: paths.projections,
    projections: coreProjections,
    bootId: await machineBootId(),
  });
  const environment = await folder.openReadOnly();
  if (environment === undefined) {
    throw new NothingToCheck(
      `there are no projections of this version in ${paths.projections}; start the server, or build them with 'stele replay'`,
    );
  }
  try {
    const transaction = environment.root.useReadTransaction();
    try {
      const { position } = environment.readCheckpoint(transaction);
      const reader = new RowReader(environment, () => position, transaction);
      const log = await openLogReadOnly({ folder: paths.log });
      try {
        const hidden = new HiddenRows();
        for (const rows of await hiddenByUnfinished(reader, log)) hidden.add(rows);
        reader.hidden = hidden.current;
        return await read({ reader, log });
      } finally {
        await log.close();
      }
    } finally {
      transaction.done();
    }
  } finally {
    await environment.close();
  }
}

/** What was asked for is not on this server. */
export class NotOnThisServer extends Error {
  override readonly name = 'NotOnThisServer';
}

/** A room by its id or by an alias that this server keeps. @throws {NotOnThisServer} */
export function roomNamed(reader: Reader, name: string): Room {
  const roomId = name.startsWith('#') ? findAlias(reader, name)?.roomId : name;
  const room = roomId === undefined ? undefined : findRoom(reader, roomId);
  if (room === undefined) throw new NotOnThisServer(`There is no room ${name} on this server.`);
  return room;
}
