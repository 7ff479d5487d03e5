/** What is recorded of pushers while their notifications are sent: how far they are, and that they are gone. */
import { streamOfUser } from '#projections/accounts/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { usersOfPushkey } from '#projections/pushers/projection.ts';
import { pusherProgressRecord, pusherRemovedRecord } from '#projections/pushers/records.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Logger } from '#src/log/logger.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { PusherQueue } from './pusher-queue.ts';

/** Pushers of which something is recorded at the same time. */
const RECORDS_AT_ONCE = 64;

export interface PusherRecordsOptions {
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly logger: Logger;
}

/** Appends to the streams of users. Nothing here rejects: what cannot be recorded is logged, and tried with the next change. */
export class PusherRecords {
  readonly #options: PusherRecordsOptions;
  /** What is recorded of each pusher that is sent to. */
  readonly #recorded = new WeakMap<PusherQueue, string>();

  constructor(options: PusherRecordsOptions) {
    this.#options = options;
  }

  /** The pusher is as it is recorded. */
  know(queue: PusherQueue): void {
    this.#recorded.set(queue, progressText(queue));
  }

  /** Records how far those pushers are that have come further. */
  async record(queues: Iterable<PusherQueue>): Promise<void> {
    const moved = [...queues].filter((queue) => this.#recorded.get(queue) !== progressText(queue));
    for (let begin = 0; begin < moved.length; begin += RECORDS_AT_ONCE) {
      await Promise.all(moved.slice(begin, begin + RECORDS_AT_ONCE).map((queue) => this.#recordOne(queue)));
    }
  }

  /** The gateway does not know the pushkey any more. */
  async remove(queue: PusherQueue): Promise<void> {
    await this.#append(queue, (names) => pusherRemovedRecord(this.#options.newRecordId(), names));
  }

  async #recordOne(queue: PusherQueue): Promise<void> {
    const { sentUpTo: position, failingSinceMs } = queue;
    this.know(queue);
    await this.#append(queue, (names) =>
      pusherProgressRecord(this.#options.newRecordId(), { ...names, position, failingSinceMs }),
    );
  }

  async #append({ active }: PusherQueue, recordOf: (names: PusherNames) => RecordDraft): Promise<void> {
    const { reader, commands, logger } = this.#options;
    const { userId, pusher } = active;
    const { app_id: appId, pushkey } = pusher;
    const stream = streamOfUser(reader, userId);
    if (stream === undefined) return;
    try {
      await commands.run(stream, () => {
        const isThere = usersOfPushkey(reader, appId, pushkey).includes(userId);
        return { records: isThere ? [recordOf({ userId, appId, pushkey })] : [], result: undefined };
      });
    } catch (error) {
      logger.warn({ err: error }, 'What happened to a pusher could not be recorded.');
    }
  }
}

/** What names a pusher. */
interface PusherNames {
  readonly userId: string;
  readonly appId: string;
  readonly pushkey: string;
}

function progressText({ sentUpTo, failingSinceMs }: PusherQueue): string {
  return `${sentUpTo} ${failingSinceMs ?? ''}`;
}
