/** What the commands that work on files of PDUs share. */

import { type RoomVersionRules, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import { AuthChainCycleError, AuthChainTooLargeError } from '#protocol/state-resolution/index.ts';
import { EventCycleError, RoomFileError, TooManyForksError } from '../rooms/errors.ts';
import { readPduFiles } from '../rooms/read-files.ts';
import type { RoomEvent } from '../rooms/room-event.ts';
import { type ExitStatus, UsageError, WRONG_USAGE } from './command.ts';

export const ROOM_VERSION_OPTION = {
  'room-version': { type: 'string', value: 'N', description: 'The version of the room' },
} as const;

export const PDUS_OPTION = {
  pdus: { type: 'string', value: 'FILE…', list: true, description: 'Files of PDUs; can be given again' },
} as const;

/** The rules of the room version that was asked for, and the events of the files. */
export async function readRoom(options: {
  readonly 'room-version': string | undefined;
  readonly pdus: readonly string[] | undefined;
}): Promise<{ rules: RoomVersionRules; events: ReadonlyMap<string, RoomEvent> }> {
  const version = options['room-version'];
  if (version === undefined) throw new UsageError('--room-version is needed: a file does not say how its ids are made');
  const rules = roomVersionRules(version);
  if (rules === undefined) {
    throw new UsageError(`room version ${version} is not known; these are: ${SUPPORTED_ROOM_VERSIONS.join(', ')}`);
  }
  if (options.pdus === undefined) throw new UsageError('--pdus is needed, with one file or several');
  return { rules, events: await readPduFiles(options.pdus, rules) };
}

/** Runs the work; where its files make no sense, says why in a sentence. */
export async function sayingWhatIsWrong(
  say: (line: string) => void,
  work: () => Promise<ExitStatus>,
): Promise<ExitStatus> {
  try {
    return await work();
  } catch (error) {
    if (!WRONG_INPUT.some((kind) => error instanceof kind)) throw error;
    say(`stele: ${(error as Error).message}`);
    return WRONG_USAGE;
  }
}

const WRONG_INPUT = [RoomFileError, EventCycleError, TooManyForksError, AuthChainCycleError, AuthChainTooLargeError];
