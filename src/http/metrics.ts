import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { Answered } from './register.ts';

/** Upper bounds of the buckets of request durations, in seconds; a long poll takes up to half a minute. */
const DURATION_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The figures of a server, for Prometheus. */
export interface Metrics {
  /** Other parts add theirs here; names begin with `stele_`. */
  readonly registry: Registry;
  /** Counts a request. */
  observe(answered: Answered): void;
}

/** Makes the registry, with figures of the process and of requests. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const durations = new Histogram({
    name: 'stele_http_request_duration_seconds',
    help: 'Time from the arrival of a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: DURATION_BUCKETS_S,
    registers: [registry],
  });
  return {
    registry,
    observe: ({ method, route, status, durationMs }) => durations.observe({ method, route, status }, durationMs / 1000),
  };
}
