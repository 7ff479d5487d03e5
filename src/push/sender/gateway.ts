/** Speaking to push gateways. https://spec.matrix.org/v1.19/push-gateway-api/ */
import type { Dispatcher } from 'undici';
import { parseAnswer, readBody } from '#src/federation/answer-body.ts';
import { undiciLoaded } from '#src/net/undici.ts';

/** How long a gateway may take for the beginning of its answer, and between two pieces of it. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Largest answer: a few hundred pushkeys. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** What a gateway answers. */
export interface GatewayAnswer {
  /** Pushkeys that are not valid any more: their pushers have to go. */
  readonly rejected: readonly string[];
}

/** Takes notifications. */
export interface Gateway {
  /** Hands a notification over. Rejects with {@link GatewayFailed} if it was not taken, or the signal's reason. */
  notify(url: string, bodyJson: string, signal: AbortSignal): Promise<GatewayAnswer>;
}

/** A gateway did not take a notification; it may take it later. */
export class GatewayFailed extends Error {
  override readonly name = 'GatewayFailed';
  /** How long the gateway asks to wait. */
  readonly retryAfterMs: number | undefined;
  constructor(message: string, options: { readonly retryAfterMs?: number | undefined; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Gateways over HTTP. Redirects are not followed: a gateway is where its user says, or nowhere. */
export class HttpGateway implements Gateway {
  readonly #dispatcher: () => Dispatcher;

  /** The dispatcher decides which addresses may be connected to. */
  constructor(dispatcher: () => Dispatcher) {
    this.#dispatcher = dispatcher;
  }

  async notify(url: string, bodyJson: string, signal: AbortSignal): Promise<GatewayAnswer> {
    try {
      const answer = await (await undiciLoaded()).request(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: bodyJson,
        dispatcher: this.#dispatcher(),
        signal,
        headersTimeout: ANSWER_TIMEOUT_MS,
        bodyTimeout: ANSWER_TIMEOUT_MS,
      });
      const bytes = await readBody(answer.body, undefined, MAX_ANSWER_BYTES);
      if (answer.statusCode < 200 || answer.statusCode > 299) {
        const retryAfterMs = retryAfterOf(answer.headers['retry-after']);
        throw new GatewayFailed(`the gateway answered with status ${answer.statusCode}`, { retryAfterMs });
      }
      return { rejected: rejectedIn(bytes) };
    } catch (error) {
      if (error instanceof GatewayFailed || signal.aborted) throw error;
      throw new GatewayFailed(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }
}

/** A gateway that took the notification has taken it, whatever else its answer is. */
function rejectedIn(bytes: Buffer): readonly string[] {
  try {
    const { rejected } = parseAnswer(bytes);
    return Array.isArray(rejected) ? rejected.filter((pushkey) => typeof pushkey === 'string') : [];
  } catch {
    return [];
  }
}

function retryAfterOf(header: string | string[] | undefined): number | undefined {
  if (typeof header !== 'string' || !/^\d{1,9}$/.test(header)) return undefined;
  return Number(header) * 1000;
}
