/**
 * Answers what the operator's socket is asked from a data folder that is only read: for an auditor who has a copy of it. A server
 * on a copy would write into its log, which would then be another history than the one that was copied.
 */
import type { Reader } from '#projections/engine/reader.ts';
import type { Config } from '#src/config/schema.ts';
import { MatrixError } from '#src/http/errors.ts';
import { auditAnswer } from '#src/operator/audit-log.ts';
import { holdsAnswer } from '#src/operator/holds.ts';
import { operatorSocketPath } from '#src/operator/operator-socket.ts';
import { policyAnswer } from '#src/operator/retention.ts';
import { readDataFolder } from '../rooms/data-folder.ts';
import { UsageError } from './command.ts';
import { type AskServer, isAnybodyThere, OperatorRefusal } from './operator-request.ts';

/** The option of commands that can do without a server. */
export const READ_ONLY_OPTION = {
  'read-only': {
    type: 'boolean',
    description: 'Read the data folder and write nothing into it: for copies. The question is not on record then',
  },
} as const;

const ANSWERS: Readonly<Record<string, (reader: Reader, body: object) => object>> = {
  '/_stele/operator/audit': auditAnswer,
  '/_stele/operator/holds/list': holdsAnswer,
  '/_stele/operator/retention/policy': (reader, body) => policyAnswer(reader, body, Date.now()),
};

/**
 * Makes sure that a folder is not the one that a server has open: there the question is to be on record.
 * @throws {UsageError} where it is
 */
export async function refuseServed(config: Config): Promise<void> {
  if (await isAnybodyThere(operatorSocketPath(config.data_dir))) {
    throw new UsageError('--read-only is for copies of a data folder, and a server runs on this one');
  }
}

/** Asks a folder as `withServer` asks a server. @throws {NothingToCheck} where there are no projections in it */
export async function withFolder<Result>(config: Config, work: (ask: AskServer) => Promise<Result>): Promise<Result> {
  await refuseServed(config);
  return readDataFolder(config.data_dir, ({ reader }) =>
    work(async <Answer extends object>(path: string, body: object) => {
      const answer = ANSWERS[path];
      if (answer === undefined) throw new RangeError(`${path} cannot be asked of a folder`);
      try {
        return answer(reader, body) as Answer;
      } catch (error) {
        throw error instanceof MatrixError ? new OperatorRefusal(error.message) : error;
      }
    }),
  );
}

/** The same for one question. */
export function askFolder<Answer extends object>(config: Config, path: string, body: object): Promise<Answer> {
  return withFolder(config, (ask) => ask<Answer>(path, body));
}
