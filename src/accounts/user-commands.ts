import type { AccountRecordKind, AccountRecords } from '#projections/accounts/records.ts';
import { accountRecord } from '#projections/accounts/records.ts';
import { type UserRow, users } from '#projections/accounts/tables.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { CommandOutcome, StreamCommands } from '#src/commands/stream-command.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { RandomBytes } from './secrets.ts';

const RECORD_ID_BYTES = 16;

/** What a command decided to record, and what its caller gets. */
export interface UserDecision<Result> {
  readonly records: readonly RecordDraft[];
  readonly result: Result;
}

export interface UserCommandsOptions {
  readonly commands: StreamCommands;
  readonly reader: Reader;
  readonly random: RandomBytes;
}

/** Changes accounts that exist: commands on the stream of a user, decided on the user's row. */
export class UserCommands {
  readonly #commands: StreamCommands;
  readonly #reader: Reader;
  readonly #random: RandomBytes;

  constructor({ commands, reader, random }: UserCommandsOptions) {
    this.#commands = commands;
    this.#reader = reader;
    this.#random = random;
  }

  /** A record with an id of its own. */
  record<Kind extends AccountRecordKind>(kind: Kind, fields: AccountRecords[Kind]): RecordDraft {
    return accountRecord(this.#random(RECORD_ID_BYTES), kind, fields);
  }

  /**
   * Decides and appends; see StreamCommands. `decide` gets the row as it is when its turn has come.
   * Throws `M_NOT_FOUND` for a user that this server does not have, `M_USER_DEACTIVATED` for a closed account.
   */
  async run<Result>(userId: string, decide: (user: UserRow) => UserDecision<Result>): Promise<CommandOutcome<Result>> {
    const { stream } = this.#activeUser(userId);
    return this.#commands.run(stream, () => decide(this.#activeUser(userId)));
  }

  #activeUser(userId: string): UserRow {
    const row = this.#reader.get(users, [userId]);
    if (row === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such user here.');
    if (row.isDeactivated) throw new MatrixError('M_USER_DEACTIVATED');
    return row;
  }
}
