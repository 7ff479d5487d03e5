/** A log for tests: a list of records made by number, so that another process has the same ones. */
import {
  type Appended,
  type EventLog,
  type LogRecord,
  NotWritten,
  type Position,
  type Revision,
  type Subscriber,
  type Subscription,
} from '#streams/event-log.ts';

/** Records of one delivery while reading what was there before. */
const BATCH_RECORDS = 100;

/** The record at a position: room stream by position, content by position. */
export function recordAt(position: Position, salt = ''): LogRecord {
  const id = Buffer.alloc(16);
  id.write(salt, 6, 'latin1');
  id.writeUIntBE(position, 0, 6);
  return {
    position,
    stream: `room-${position % 7}`,
    revision: Math.floor(position / 7),
    kind: 'note',
    version: 1,
    recordedAtMs: 1_700_000_000_000 + position,
    id,
    sections: [Buffer.from(`note ${position} ${'x'.repeat(position % 50)}`)],
  };
}

interface Follower {
  readonly subscriber: Subscriber;
  readonly end: (error?: Error) => void;
}

export class ListLog implements EventLog {
  readonly records: LogRecord[] = [];
  readonly #followers = new Set<Follower>();
  readonly #salt: string;

  /** `salt` makes the ids of another log. */
  constructor(count = 0, salt = '') {
    this.#salt = salt;
    for (let position = 0; position < count; position++) this.records.push(recordAt(position, salt));
  }

  /** Appends the next `count` records as one commit. */
  grow(count = 1): void {
    const fresh: LogRecord[] = [];
    for (let added = 0; added < count; added++) {
      const record = recordAt(this.records.length, this.#salt);
      this.records.push(record);
      fresh.push(record);
    }
    for (const follower of this.#followers) {
      try {
        void follower.subscriber.onRecords(fresh);
      } catch (error) {
        follower.end(error as Error);
      }
    }
  }

  subscribeAll(from: Position, subscriber: Subscriber): Subscription {
    let resolveLive: () => void;
    let rejectLive: (error: Error) => void;
    const live = new Promise<void>((resolve, reject) => {
      resolveLive = resolve;
      rejectLive = reject;
    });
    live.catch(() => undefined);
    const follower: Follower = {
      subscriber,
      end: (error) => {
        if (!this.#followers.delete(follower)) return;
        subscriber.onEnd?.(error);
        rejectLive(error ?? new Error('stopped'));
      },
    };
    this.#followers.add(follower);
    const deliver = (): void => {
      try {
        for (let at = from + 1; at < this.records.length; at += BATCH_RECORDS) {
          void subscriber.onRecords(this.records.slice(at, at + BATCH_RECORDS));
        }
        subscriber.onPhase?.('live');
        resolveLive();
      } catch (error) {
        follower.end(error as Error);
      }
    };
    queueMicrotask(deliver);
    return {
      phase: 'live',
      live,
      stop: async () => follower.end(),
    };
  }

  async readAt(position: Position): Promise<LogRecord | undefined> {
    return this.records[position];
  }

  async *readAll(from: Position): AsyncGenerator<readonly LogRecord[]> {
    const end = this.records.length;
    for (let at = from + 1; at < end; at += BATCH_RECORDS)
      yield this.records.slice(at, Math.min(end, at + BATCH_RECORDS));
  }

  head(): Position {
    return this.records.length - 1;
  }

  async close(): Promise<void> {
    for (const follower of this.#followers) follower.end();
  }

  append(): Promise<Appended> {
    return Promise.reject(new NotWritten('this log grows by itself'));
  }

  async *readStream(stream: string): AsyncGenerator<LogRecord> {
    for (const record of this.records) if (record.stream === stream) yield record;
  }

  async revisionOf(stream: string): Promise<Revision> {
    return this.records.filter((record) => record.stream === stream).length - 1;
  }

  writeState(): { readonly writable: true } {
    return { writable: true };
  }

  async destroyKeys(): Promise<void> {
    throw new NotWritten('this log has no keys');
  }

  async destroyKey(): Promise<void> {
    throw new NotWritten('this log has no keys');
  }
}
