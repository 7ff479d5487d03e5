/** What a command reads out of the data folder by itself is on record before it does. */
import { existsSync } from 'node:fs';
import { Audit } from '#src/audit/audit.ts';
import { StreamCommands } from '#src/commands/stream-command.ts';
import type { Config } from '#src/config/schema.ts';
import { dataPaths } from '#src/data-paths.ts';
import { operatorSocketPath } from '#src/operator/operator-socket.ts';
import { newRecordId } from '#src/record-ids.ts';
import { openLog } from '#streams/open-log.ts';
import { latestPublishedSize } from '#streams/transparency/transparency-log.ts';
import { askServer, isAnybodyThere, operatorName } from './operator-request.ts';

/** The options of commands that read what people wrote, or whom they talk with. */
export const READ_OPTIONS = {
  reason: { type: 'string', value: 'TEXT', description: 'Why you look; it is on record' },
  case: { type: 'string', value: 'CASE', description: 'The case that it is for; it is on record' },
} as const;

/** What is about to be read. */
export interface CommandRead {
  readonly action: 'room.read' | 'content.read' | 'content.visible_to' | 'hold.list';
  readonly target: { readonly kind: 'room' | 'event' | 'hold'; readonly id: string };
  /** The verb. */
  readonly command: string;
  /** Its options as they were given. */
  readonly options: { readonly reason: string | undefined; readonly case: string | undefined };
}

/**
 * Puts a reading on record: through the server that has the folder open, or in the log itself where there is none. Where there is no log,
 * there is nothing to read either.
 * @throws {Error} where that cannot be: then nothing is to be read.
 */
export async function recordRead(config: Config, { action, target, command, options }: CommandRead): Promise<void> {
  const { reason, case: caseId, ...asked } = options;
  const after = { command, ...asked };
  if (await isAnybodyThere(operatorSocketPath(config.data_dir))) {
    const entry = { action, target, reason, case_id: caseId, after };
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
    const roomId = target.kind === 'room' ? target.id : undefined;
    const actor = { kind: 'operator', name: operatorName() } as const;
    await audit.record({ actor, action, target, roomId, reason, caseId, after });
  } finally {
    await log.close();
  }
}
