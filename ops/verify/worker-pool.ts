/** Threads that verify runs of records at the same time, each with the log opened for itself. */
import { Worker } from 'node:worker_threads';
import type { LogLayout } from '#streams/raw-log.ts';
import type { ChunkRequest, ChunkResult } from './verify-chunk.ts';

/** What a worker is started with. */
export interface WorkerTask {
  readonly transparencyFolder: string;
  /** Whether it needs the keys of sections. */
  readonly opens: boolean;
  readonly checksContent: boolean;
}

/** What a worker is told: first what to read, then the runs. */
export type WorkerMessage = LogLayout | ChunkRequest;

/** What a worker says of the run that begins with record `from`. */
export type WorkerAnswer =
  | { readonly from: number; readonly result: ChunkResult }
  | { readonly from: number; readonly error: unknown };

interface Waiting {
  readonly resolve: (result: ChunkResult) => void;
  readonly reject: (error: unknown) => void;
}

/** See the file's comment. */
export class VerifyWorkers {
  readonly #lanes: Lane[];

  /** Starts them: they load what they need while the log is still being opened. */
  constructor(count: number, task: WorkerTask) {
    this.#lanes = Array.from({ length: count }, () => new Lane(task));
  }

  /** Tells them what to read; before any run is given to them. */
  open(layout: LogLayout): void {
    for (const lane of this.#lanes) lane.open(layout);
  }

  get count(): number {
    return this.#lanes.length;
  }

  /** Gives the run to the worker with the least to do. */
  verifyChunk(request: ChunkRequest): Promise<ChunkResult> {
    const [first, ...others] = this.#lanes;
    if (first === undefined) return Promise.reject(new RangeError('there are no workers'));
    return others.reduce((least, lane) => (lane.load < least.load ? lane : least), first).verifyChunk(request);
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.close()));
  }
}

class Lane {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #failure: unknown;

  constructor(task: WorkerTask) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: task });
    this.#worker.on('message', (answer: WorkerAnswer) => this.#answered(answer));
    this.#worker.on('error', (error) => this.#failed(error));
    this.#worker.on('exit', () => this.#failed(new Error('a worker ended early')));
  }

  /** Runs given to it and not answered. */
  get load(): number {
    return this.#waiting.size;
  }

  open(layout: LogLayout): void {
    this.#worker.postMessage(layout);
  }

  verifyChunk(request: ChunkRequest): Promise<ChunkResult> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#waiting.set(request.from, { resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #answered(answer: WorkerAnswer): void {
    const waiting = this.#waiting.get(answer.from);
    this.#waiting.delete(answer.from);
    if ('result' in answer) waiting?.resolve(answer.result);
    else waiting?.reject(answer.error);
  }

  #failed(error: unknown): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
