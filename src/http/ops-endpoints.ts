/** What operators and their tools ask every server. */
import { jsonAnswer, RawAnswer } from './answer.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import type { Metrics } from './metrics.ts';

/** Whether requests can be answered in full, and if not, why, in a sentence. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string };

export interface OpsOptions {
  readonly readiness: () => Readiness | Promise<Readiness>;
  readonly metrics: Pick<Metrics, 'text'>;
  /** Fires when the server begins to stop: it is not ready any more. */
  readonly closing: AbortSignal;
}

/** The endpoints under `/_stele/` that need nothing of the application. */
export function opsEndpoints({ readiness, metrics, closing }: OpsOptions): Endpoint<unknown>[] {
  return [
    /** `GET /_stele/health`: the process answers. */
    endpoint({
      method: 'GET',
      path: '/_stele/health',
      auth: 'none',
      rateLimit: 'none',
      handler: () => ({ status: 'ok' }),
    }),
    /** `GET /_stele/ready`: 200 if requests can be answered in full, else 503 with the reason. */
    endpoint({
      method: 'GET',
      path: '/_stele/ready',
      auth: 'none',
      rateLimit: 'none',
      handler: async () => {
        if (closing.aborted) return jsonAnswer(503, { status: 'stopping', reason: 'The server is stopping.' });
        const state = await readiness();
        return state.ready ? { status: 'ready' } : jsonAnswer(503, { status: 'not ready', reason: state.reason });
      },
    }),
    /** `GET /_stele/metrics`: figures in Prometheus' text format. */
    endpoint({
      method: 'GET',
      path: '/_stele/metrics',
      auth: 'none',
      rateLimit: 'none',
      handler: async () => {
        const { contentType, body } = await metrics.text();
        return new RawAnswer({ headers: { 'content-type': contentType }, body });
      },
    }),
  ];
}
