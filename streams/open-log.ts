/** Opens the log of a server, or opens it for reading beside the server: the one entry for everything above. */
import { type EmbeddedOptions, openEmbedded, type RecoveryReport } from './embedded/open-embedded.ts';
import { logPaths } from './embedded/paths.ts';
import type { EventLog } from './event-log.ts';
import type { ReappliedErasures } from './key-destruction.ts';
import { ErasedList, type ErasedSection, readErasedList } from './keyring/erased-list.ts';
import type { PendingAppend } from './pending-append.ts';
import type { RawLog } from './raw-log.ts';
import { SealedLog, type SealedLogOptions } from './sealed-log.ts';

export interface OpenLogOptions extends EmbeddedOptions, SealedLogOptions {}

/** An open log. */
export interface OpenLog extends EventLog, RawLog {
  /** What was found when it was opened. */
  readonly recovery: RecoveryReport;
  /** 16 random bytes that this log's files carry. */
  readonly logId: Buffer;
  /**
   * What was destroyed again because the list of destroyed keys names it and its key was there: somebody has put an older
   * keyring in place. Undefined where there was nothing of the kind.
   */
  readonly reapplied: ReappliedErasures | undefined;
  /** See {@link SealedLog.reapplyErasures}. */
  reapplyErasures(erased: readonly ErasedSection[]): Promise<ReappliedErasures>;
}

class OpenedLog extends SealedLog implements OpenLog {
  readonly recovery: RecoveryReport;
  readonly logId: Buffer;
  reapplied: ReappliedErasures | undefined;

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
  const opened = await openEmbedded<PendingAppend>(options);
  const paths = logPaths(options.folder);
  let erasedList: ErasedList | undefined;
  try {
    const { files } = options;
    erasedList = await ErasedList.open({
      folder: options.folder,
      path: paths.erased,
      logId: opened.keyring.logId,
      ...(files && { files }),
    });
  } catch (error) {
    await opened.driver.close();
    await opened.keyring.close();
    throw error;
  }
  const log = new OpenedLog(opened, { ...options, erasedList });
  try {
    const { last } = erasedList;
    // What is missing in an older keyring are the latest destructions: if the last is there, so are those before.
    if (last !== undefined && (await isBack(log, last))) {
      log.reapplied = await log.reapplyErasures((await readErasedList(paths.erased, options.files))?.sections ?? []);
    }
    return log;
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** Whether a section that was destroyed can be read. */
async function isBack(log: OpenLog, { position, section, recordId }: ErasedSection): Promise<boolean> {
  const record = position <= log.head() ? await log.readAt(position) : undefined;
  if (record === undefined || Buffer.compare(record.id, recordId) !== 0) return false;
  return record.sections[section] instanceof Uint8Array;
}

export { NoLog, openLogReadOnly } from './embedded/open-read-only.ts';
export type { ErasedSection } from './keyring/erased-list.ts';
