/** Opens the log of a server, or opens it for reading beside the server: the one entry for everything above. */
import { type EmbeddedOptions, openEmbedded, type RecoveryReport } from './embedded/open-embedded.ts';
import type { EventLog } from './event-log.ts';
import type { RawLog } from './raw-log.ts';
import { type PendingAppend, SealedLog, type SealedLogOptions } from './sealed-log.ts';

export interface OpenLogOptions extends EmbeddedOptions, SealedLogOptions {}

/** An open log. */
export interface OpenLog extends EventLog, RawLog {
  /** What was found when it was opened. */
  readonly recovery: RecoveryReport;
  /** 16 random bytes that this log's files carry. */
  readonly logId: Buffer;
}

class OpenedLog extends SealedLog implements OpenLog {
  readonly recovery: RecoveryReport;
  readonly logId: Buffer;

  constructor(opened: Awaited<ReturnType<typeof openEmbedded<PendingAppend>>>, options: SealedLogOptions) {
    super(opened.driver, opened.keyring, options);
    this.recovery = opened.recovery;
    this.logId = opened.keyring.logId;
  }
}

/**
 * Opens the log in a folder, or begins one there. Throws `LogInUse` when another server has it, `MasterKeyProblem` when
 * the master key is missing or wrong, `Damaged` when something is not as it was written; each says what to do.
 */
export async function openLog(options: OpenLogOptions): Promise<OpenLog> {
  return new OpenedLog(await openEmbedded<PendingAppend>(options), options);
}

export { NoLog, openLogReadOnly, type ReadOnlyOptions } from './embedded/open-read-only.ts';
