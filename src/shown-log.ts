import type { ProjectionEngine } from '#projections/engine/engine.ts';
import { saysOutOfSpace } from '#projections/engine/errors.ts';
import {
  type Appended,
  type EventLog,
  type LogRecord,
  NotWritten,
  OutcomeUnknown,
  type Position,
  type ReadStreamOptions,
  type RecordDraft,
  type Revision,
  type SectionRef,
  type Subscriber,
  type Subscription,
  type WriteState,
} from '#streams/event-log.ts';

/**
 * The log of a server whose projections must show what is written: once they have stopped, it turns appends down, since
 * nobody would see what they say. Reading goes on.
 */
export class ShownLog implements EventLog {
  readonly #log: EventLog;
  readonly #engine: ProjectionEngine;
  readonly #onWriteState: (state: WriteState) => void;
  /** What {@link #onWriteState} was told last. */
  #wasWritable = true;

  /** `onWriteState` is told once when an append shows that nothing can be written, and once when it goes on. */
  constructor(log: EventLog, engine: ProjectionEngine, onWriteState: (state: WriteState) => void) {
    this.#log = log;
    this.#engine = engine;
    this.#onWriteState = onWriteState;
  }

  append(stream: string, expectedRevision: Revision, records: readonly RecordDraft[]): Promise<Appended> {
    const { failure } = this.#engine;
    const appended =
      failure === undefined
        ? this.#log.append(stream, expectedRevision, records).then(this.#shown)
        : Promise.reject(new NotWritten(hasStopped(failure)));
    appended.then(this.#wasWritable ? undefined : this.#noteWriteState, this.#noteWriteState);
    return appended;
  }

  /** An append is acknowledged once readers see it: the projections may have failed on this very commit. */
  readonly #shown = (appended: Appended): Appended => {
    if (this.#engine.frontier >= appended.lastPosition) return appended;
    throw new OutcomeUnknown('It is stored, but cannot be shown until the projections go on.');
  };

  readonly #noteWriteState = (): void => {
    const state = this.writeState();
    if (state.writable === this.#wasWritable) return;
    this.#wasWritable = state.writable;
    this.#onWriteState(state);
  };

  writeState(): WriteState {
    const { failure } = this.#engine;
    return failure === undefined ? this.#log.writeState() : { writable: false, reason: hasStopped(failure) };
  }

  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<LogRecord> {
    return this.#log.readStream(stream, options);
  }

  readAll(from: Position): AsyncIterable<readonly LogRecord[]> {
    return this.#log.readAll(from);
  }

  readAt(position: Position): Promise<LogRecord | undefined> {
    return this.#log.readAt(position);
  }

  subscribeAll(from: Position, subscriber: Subscriber): Subscription {
    return this.#log.subscribeAll(from, subscriber);
  }

  head(): Position {
    return this.#log.head();
  }

  revisionOf(stream: string): Promise<Revision> {
    return this.#log.revisionOf(stream);
  }

  destroyKey(position: Position, section: number): Promise<void> {
    return this.#log.destroyKey(position, section);
  }

  destroyKeys(sections: readonly SectionRef[]): Promise<void> {
    return this.#log.destroyKeys(sections);
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}

function hasStopped(failure: Error): string {
  const help = saysOutOfSpace(failure)
    ? 'the disk is full; free some space, writing goes on by itself'
    : 'restart the server, or build them anew with `stele replay`';
  return `the projections have stopped (${failure.message}); ${help}`;
}
