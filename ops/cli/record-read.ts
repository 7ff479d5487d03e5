/** What a command reads out of the data folder by itself is on record before it does. */
import { existsSync } from 'node:fs';
import { findAlias } from '#projections/directory/projection.ts';
import { NothingToCheck } from '#projections/engine/replay.ts';
import { eventAt, eventById, roomById } from '#projections/rooms/queries.ts';
import { noteOf } from '#src/audit/actions.ts';
import { Audit } from '#src/audit/audit.ts';
import { StreamCommands } from '#src/commands/stream-command.ts';
import type { Config } from '#src/config/schema.ts';
import { dataPaths } from '#src/data-paths.ts';
import { operatorSocketPath } from '#src/operator/operator-socket.ts';
import { newRecordId } from '#src/record-ids.ts';
import { openLog } from '#streams/open-log.ts';
import { latestPublishedSize } from '#streams/transparency/transparency-log.ts';
import { readDataFolder } from '../rooms/data-folder.ts';
import { UsageError } from './command.ts';
import { operatorName } from './operator-name.ts';
import { askServer, isAnybodyThere } from './operator-request.ts';
import { READ_ONLY_OPTION, refuseServed } from './read-folder.ts';

/** The options of commands that read what people wrote, or whom they talk with. */
export const READ_OPTIONS = {
  reason: { type: 'string', value: 'TEXT', description: 'Why you look; it is on record' },
  case: { type: 'string', value: 'CASE', description: 'The case that it is for; it is on record' },
  ...READ_ONLY_OPTION,
} as const;

/** What is about to be read. */
export interface CommandRead {
  readonly action: 'room.read' | 'content.read' | 'content.visible_to' | 'hold.list';
  /** An event by its id, or by its position in the log. */
  readonly target: { readonly kind: 'room' | 'event' | 'hold'; readonly id: string };
  /** The verb. */
  readonly command: string;
  /** Its options as they were given. */
  readonly options: {
    readonly reason: string | undefined;
    readonly case: string | undefined;
    readonly 'read-only': boolean;
  };
}

/**
 * Puts a reading on record: through the server that has the folder open, or in the log itself where there is none. Where there is no log,
 * there is nothing to read either. With `--read-only` nothing is written, which is for copies.
 * @throws {UsageError} where content is to be read and it is not said why, or under which case.
 * @throws {Error} where that cannot be: then nothing is to be read.
 */
export async function recordRead(config: Config, { action, target, command, options }: CommandRead): Promise<void> {
  const { reason, case: caseId, 'read-only': isReadOnly, ...asked } = options;
  if (isReadOnly) return refuseServed(config);
  const hasGrounds = isSaid(reason) && isSaid(caseId);
  if (noteOf(action).readsContent === true && !hasGrounds && config.audit.content_reads === 'reason_required') {
    throw new UsageError('reading what people wrote needs --reason and --case');
  }
  const after = { command, ...asked };
  const roomId = await roomOf(config, target);
  if (await isAnybodyThere(operatorSocketPath(config.data_dir))) {
    const entry = { action, target, room_id: roomId, reason, case_id: caseId, after };
    await askServer(config, '/_stele/operator/audit/record', entry).catch((error: Error) => {
      throw new Error(`it could not be put on record, so nothing is shown: ${error.message}`, { cause: error });
    });
    return;
  }
  const paths = dataPaths(config.data_dir);
  if (!existsSync(paths.log)) return;
  const log = await openLog({ folder: paths.log, mustHaveAtLeast: await latestPublishedSize(paths.transparency) });
  try {
    const audit = new Audit({ commands: new StreamCommands({ log, caughtUp: async () => {} }), newRecordId });
    const actor = { kind: 'operator', name: operatorName() } as const;
    await audit.record({ actor, action, target, roomId, reason, caseId, after });
  } finally {
    await log.close();
  }
}

/** Whether an option says something: more than spaces. */
export function isSaid(text: string | undefined): text is string {
  return text !== undefined && text.trim() !== '';
}

/** The id of the room that a reading is of, by which auditors ask; undefined where it is not known. */
async function roomOf({ data_dir: dataDir }: Config, { kind, id }: CommandRead['target']): Promise<string | undefined> {
  if (kind === 'hold') return undefined;
  if (kind === 'room' && id.startsWith('!')) return id;
  return readDataFolder(dataDir, async ({ reader }) => {
    if (kind === 'room') return findAlias(reader, id)?.roomId;
    const event = /^\d+$/.test(id) ? eventAt(reader, Number(id)) : eventById(reader, id);
    return event && roomById(reader, event.room)?.roomId;
  }).catch((error: unknown) => {
    if (error instanceof NothingToCheck) return undefined;
    throw error;
  });
}
