/**
 * The HTTP client, loaded when it is first used: it takes more than 10 MiB, which a server that calls nobody need not have.
 */
import { createRequire } from 'node:module';
import type * as Undici from 'undici';

const load = createRequire(import.meta.url);
let loaded: typeof Undici | undefined;

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
