import { expect, test } from 'vitest';
import { createMetrics } from './metrics.ts';

function answered(durationMs: number, status = 200) {
  return { method: 'GET', route: '/r', status, durationMs, requestId: 'q', userId: undefined, path: '/r' };
}

test('requests are counted before anybody asks, and between two who ask', async () => {
  const metrics = createMetrics();
  metrics.observe(answered(1));
  metrics.observe(answered(2));
  metrics.observe(answered(60_000));
  metrics.observe(answered(1, 404));
  const lines = (await metrics.text()).body.split('\n').filter((line) => line.startsWith('stele_http_'));
  const labels = 'method="GET",route="/r",status="200"';
  expect(lines.filter((line) => line.includes('status="200"'))).toEqual([
    `stele_http_request_duration_seconds_bucket{le="0.001",${labels}} 1`,
    ...[0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30].map(
      (bound) => `stele_http_request_duration_seconds_bucket{le="${bound}",${labels}} 2`,
    ),
    `stele_http_request_duration_seconds_bucket{le="+Inf",${labels}} 3`,
    `stele_http_request_duration_seconds_sum{${labels}} 60.003`,
    `stele_http_request_duration_seconds_count{${labels}} 3`,
  ]);
  expect(lines).toContain('stele_http_request_duration_seconds_count{method="GET",route="/r",status="404"} 1');
  metrics.observe(answered(1, 404));
  expect((await metrics.text()).body).toContain(
    'stele_http_request_duration_seconds_count{method="GET",route="/r",status="404"} 2\n',
  );
});

test('the process has its CPU time from its beginning', async () => {
  const spentS = (process.cpuUsage().user + process.cpuUsage().system) / 1_000_000;
  const { body } = await createMetrics().text();
  expect(Number(/^process_cpu_seconds_total (\S+)$/m.exec(body)?.[1])).toBeGreaterThanOrEqual(spentS);
});
