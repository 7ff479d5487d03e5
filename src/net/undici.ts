/**
 * The HTTP client, loaded when it is first used: it takes more than 10 MiB, which a server that calls nobody need not have.
 */
import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type * as Undici from 'undici';

const load = createRequire(import.meta.url);
let loaded: typeof Undici | undefined;
let loading: Promise<typeof Undici> | undefined;

/** Parts of it that take long to load, in an order in which each has little left to do. */
export const PARTS: readonly string[] = [
  'undici/lib/core/util.js',
  'undici/lib/dispatcher/client-h1.js',
  'undici/lib/dispatcher/client.js',
  'undici/lib/dispatcher/agent.js',
  'undici/lib/mock/snapshot-agent.js',
  'undici/lib/interceptor/cache.js',
  'undici/lib/web/fetch/response.js',
  'undici/lib/web/fetch/index.js',
  'undici/lib/web/websocket/websocket.js',
];

/**
 * To be awaited before the first use where others wait for the event loop: as a whole it is loaded in some 80 ms of one turn, part by
 * part in less than half of that a turn.
 */
export async function undiciLoaded(): Promise<typeof Undici> {
  if (loaded !== undefined) return loaded;
  loading ??= loadInTurns();
  return loading;
}

async function loadInTurns(): Promise<typeof Undici> {
  for (const part of PARTS) {
    await nextTurn();
    try {
      load(part);
    } catch {
      // Another version of it has other files; what is not there is loaded with the rest.
    }
  }
  await nextTurn();
  return undici();
}

export function undici(): typeof Undici {
  loaded ??= load('undici') as typeof Undici;
  return loaded;
}

/** An agent that is made when it is first asked for. */
export class LazyAgent {
  readonly #options: Undici.Agent.Options;
  #agent: Undici.Agent | undefined;

  constructor(options: Undici.Agent.Options) {
    this.#options = options;
  }

  get(): Undici.Agent {
    this.#agent ??= new (undici().Agent)(this.#options);
    return this.#agent;
  }

  /** Breaks off what is under way. */
  async destroy(): Promise<void> {
    await this.#agent?.destroy();
  }
}
