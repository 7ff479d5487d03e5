/**
 * Removes messages from inboxes once their devices have got them. A device says so by coming back with the token of the
 * answer that they were in; since that is a record of the log, a few are gathered before it is written. Until then, and after
 * a crash before, the messages are simply kept: a token alone says what is not to be shown again.
 */
import { streamOfUser } from '#projections/accounts/queries.ts';
import { hasMessagesUpTo } from '#projections/encryption/inbox-projection.ts';
import { acknowledgedRecord, inboxOfStream } from '#projections/encryption/inbox-records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Logger } from '#src/log/logger.ts';
import type { Position } from '#streams/event-log.ts';

/** How long an acknowledgement may wait for others, in milliseconds. */
export const GATHER_MS = 5000;
/** Users with acknowledgements to write; beyond it they are written without waiting. */
export const MAX_USERS_GATHERED = 10_000;
/** Users whose acknowledgements are written at the same time. */
const USERS_AT_ONCE = 64;

export interface AcknowledgementsOptions {
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly logger: Logger;
}

export class Acknowledgements {
  readonly #options: AcknowledgementsOptions;
  /** User → device → the position up to which it has everything. */
  #gathered = new Map<string, Map<string, Position>>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  constructor(options: AcknowledgementsOptions) {
    this.#options = options;
  }

  /** A device has shown that it has all messages up to a position. Costs one look where there is nothing to remove. */
  note(userId: string, deviceId: string, upTo: Position): void {
    if (!hasMessagesUpTo(this.#options.reader, userId, deviceId, upTo)) return;
    const ofUser = this.#gathered.get(userId) ?? new Map<string, Position>();
    this.#gathered.set(userId, ofUser);
    ofUser.set(deviceId, Math.max(upTo, ofUser.get(deviceId) ?? upTo));
    if (this.#gathered.size >= MAX_USERS_GATHERED) void this.flush();
    // Nothing is lost if the process ends before.
    else this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS).unref();
  }

  /** Writes what is gathered. Never rejects: what cannot be written is noted again with the next token. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const gathered = [...this.#gathered];
    this.#gathered = new Map();
    const before = this.#writing ?? Promise.resolve();
    const writing = before.then(() => this.#write(gathered));
    this.#writing = writing;
    return writing;
  }

  async #write(gathered: readonly (readonly [userId: string, upTo: ReadonlyMap<string, Position>])[]): Promise<void> {
    for (let begin = 0; begin < gathered.length; begin += USERS_AT_ONCE) {
      const some = gathered.slice(begin, begin + USERS_AT_ONCE);
      await Promise.all(some.map(([userId, upTo]) => this.#writeOfUser(userId, upTo)));
    }
  }

  async #writeOfUser(userId: string, upTo: ReadonlyMap<string, Position>): Promise<void> {
    const { reader, commands, newRecordId, logger } = this.#options;
    const stream = streamOfUser(reader, userId);
    if (stream === undefined) return;
    try {
      await commands.run(inboxOfStream(stream), () => {
        const there = [...upTo].filter(([deviceId, position]) => hasMessagesUpTo(reader, userId, deviceId, position));
        const records = there.length === 0 ? [] : [acknowledgedRecord(newRecordId(), { userId, upTo: there })];
        return { records, result: undefined };
      });
    } catch (error) {
      logger.warn({ err: error }, 'Messages that devices have got could not be removed; the next sync tries again.');
    }
  }
}
