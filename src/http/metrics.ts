import type { Counter, Registry } from 'prom-client';
import type { Answered } from './register.ts';
import { RequestDurations } from './request-durations.ts';

/** What makes the figures into text. */
export type Prometheus = typeof import('prom-client');

/** Adds figures to a registry. They are to be read when somebody asks: nothing is counted by what is made here. */
export type AddFigures = (registry: Registry, prometheus: Prometheus) => void;

/** The figures of a server, for Prometheus. */
export interface Metrics {
  /** Other parts add theirs here; names begin with `stele_`. Called when somebody asks for the first time. */
  add(figures: AddFigures): void;
  /** Counts a request. */
  observe(answered: Answered): void;
  /** All figures as they are now. */
  text(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/**
 * Makes the figures of a server, those of the process and of requests among them.
 *
 * prom-client comes with more modules than a room has, and most servers are never asked: it is loaded by the first who asks. What
 * this server counts is kept without it and so is complete, and so is the CPU time of the process; the collections of its garbage
 * are counted from then on.
 */
export function createMetrics(): Metrics {
  const durations = new RequestDurations();
  const parts: AddFigures[] = [durations.addTo];
  let loading: Promise<Registry> | undefined;
  const load = async (): Promise<Registry> => {
    const { default: prometheus } = await import('prom-client');
    const registry = new prometheus.Registry();
    prometheus.collectDefaultMetrics({ register: registry });
    addCpuTime(registry, process.cpuUsage());
    for (const add of parts) add(registry, prometheus);
    return registry;
  };
  return {
    add: (figures) => void parts.push(figures),
    observe: ({ method, route, status, durationMs }) => durations.observe(method, route, status, durationMs / 1000),
    text: async () => {
      loading ??= load();
      const registry = await loading;
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

/** prom-client counts CPU time from when it is told to. */
function addCpuTime(registry: Registry, { user, system }: NodeJS.CpuUsage): void {
  const spentUs = {
    process_cpu_user_seconds_total: user,
    process_cpu_system_seconds_total: system,
    process_cpu_seconds_total: user + system,
  };
  for (const [name, us] of Object.entries(spentUs)) {
    (registry.getSingleMetric(name) as Counter | undefined)?.inc(us / 1_000_000);
  }
}
