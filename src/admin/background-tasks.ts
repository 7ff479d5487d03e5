/**
 * What administrators started and asks for its time: purges, removals, redactions. In memory: after a restart nobody knows how far a
 * task was; what it had recorded stands, and goes on by itself.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from '#src/log/logger.ts';

/** Tasks that are remembered; beyond, those that ended longest ago are forgotten. */
export const MAX_REMEMBERED = 1_000;
/** Tasks that may run at one time. */
export const MAX_RUNNING = 20;

/** How a task stands. */
export type TaskStatus = 'active' | 'complete' | 'failed';

/** A task as it is told of. */
export interface Task {
  readonly id: string;
  /** What kind of task: `purge_history`, `delete_room`, …. */
  readonly kind: string;
  /** What it is about: a room id, a user id. */
  readonly subject: string;
  readonly status: TaskStatus;
  /** When its status changed last: milliseconds since the epoch. */
  readonly changedAtMs: number;
  /** What has come of it so far. */
  readonly result: Readonly<Record<string, unknown>>;
  /** Why it failed, in a sentence; only of those that did. */
  readonly error?: string;
}

/** The work of a task; it may tell meanwhile what has come of it. Gives the same at its end. */
export type TaskWork = (
  report: (result: Readonly<Record<string, unknown>>) => void,
) => Promise<Readonly<Record<string, unknown>>>;

/** Too many tasks run; try again later. */
export class TooManyTasks extends Error {
  override readonly name = 'TooManyTasks';
}

export class BackgroundTasks {
  readonly #logger: Logger;
  readonly #clock: () => number;
  readonly #tasks = new Map<string, Task>();
  readonly #running = new Set<Promise<void>>();

  constructor({ logger, clock }: { readonly logger: Logger; readonly clock: () => number }) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Begins a task and gives its id. @throws {TooManyTasks} */
  start(kind: string, subject: string, work: TaskWork): string {
    if (this.#running.size >= MAX_RUNNING) throw new TooManyTasks('too many tasks of administrators run');
    const task: Task = { id: randomUUID(), kind, subject, status: 'active', changedAtMs: this.#clock(), result: {} };
    this.#tasks.set(task.id, task);
    this.#forgetOldest();
    const running = this.#run(task, work).finally(() => this.#running.delete(running));
    this.#running.add(running);
    return task.id;
  }

  get(id: string): Task | undefined {
    return this.#tasks.get(id);
  }

  /** All that are remembered, the oldest first. */
  all(): Task[] {
    return [...this.#tasks.values()];
  }

  /** The tasks of a kind about something, the oldest first. */
  about(kind: string, subject: string): Task[] {
    return [...this.#tasks.values()].filter((task) => task.kind === kind && task.subject === subject);
  }

  /** Resolves when nothing runs any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #run(task: Task, work: TaskWork): Promise<void> {
    let result: Task['result'] = {};
    try {
      result = await work((sofar) => {
        result = sofar;
        this.#tasks.set(task.id, { ...task, result });
      });
      this.#tasks.set(task.id, { ...task, status: 'complete', changedAtMs: this.#clock(), result });
    } catch (error) {
      this.#logger.warn({ err: error, task: task.kind }, 'what an administrator asked for could not be done');
      const text = error instanceof Error ? error.message : String(error);
      this.#tasks.set(task.id, { ...task, status: 'failed', changedAtMs: this.#clock(), result, error: text });
    }
  }

  #forgetOldest(): void {
    for (const [id, { status }] of this.#tasks) {
      if (this.#tasks.size <= MAX_REMEMBERED) return;
      if (status !== 'active') this.#tasks.delete(id);
    }
  }
}
