import type { Histogram, MetricValueWithName } from 'prom-client';
import type { AddFigures } from './metrics.ts';

/** Upper bounds of the buckets, in seconds; a long poll takes up to half a minute. */
const BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const NAME = 'stele_http_request_duration_seconds';
const HELP = 'Time from the arrival of a request to the end of its answer.';

type Labels = { readonly method: string; readonly route: string; readonly status: number };

/** Requests that are alike. There are as many of these as routes have methods and outcomes. */
interface Series {
  readonly labels: Labels;
  /** Requests whose duration is at most the bound of this place and above the one before. */
  readonly buckets: number[];
  sumS: number;
  count: number;
}

type Value = MetricValueWithName<string>;

/**
 * How long requests took, for each kind of request. Every request is counted, so it is done here, in a few steps, and what is
 * counted is handed to prom-client when somebody asks.
 */
export class RequestDurations {
  readonly #series = new Map<string, Series>();

  /** Counts a request. */
  observe(method: string, route: string, status: number, durationS: number): void {
    const key = `${method} ${status} ${route}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { labels: { method, route, status }, buckets: BOUNDS_S.map(() => 0), sumS: 0, count: 0 };
      this.#series.set(key, series);
    }
    const { buckets } = series;
    for (let index = 0; index < buckets.length; index += 1) {
      if (durationS > (BOUNDS_S[index] ?? 0)) continue;
      buckets[index] = (buckets[index] ?? 0) + 1;
      break;
    }
    series.sumS += durationS;
    series.count += 1;
  }

  /** Adds the histogram to a registry, which asks such an object for its values. */
  readonly addTo: AddFigures = (registry) => {
    const get = async () => {
      const values = [...this.#series.values()].flatMap(valuesOf);
      return { name: NAME, help: HELP, type: 'histogram', aggregator: 'sum', values };
    };
    registry.registerMetric({ name: NAME, get } as unknown as Histogram);
  };
}

/** As Prometheus wants a histogram: each bucket holds those before it too. */
function valuesOf({ labels, buckets, sumS, count }: Series): Value[] {
  let upTo = 0;
  const bucket = (le: number | string, value: number): Value => ({
    labels: { le, ...labels },
    value,
    metricName: `${NAME}_bucket`,
  });
  return [
    ...BOUNDS_S.map((bound, index) => {
      upTo += buckets[index] ?? 0;
      return bucket(bound, upTo);
    }),
    bucket('+Inf', count),
    { labels: { ...labels }, value: sumS, metricName: `${NAME}_sum` },
    { labels: { ...labels }, value: count, metricName: `${NAME}_count` },
  ];
}
