import * as prometheus from 'prom-client';
import { expect, it } from 'vitest';
import { FederationCounts } from './counts.ts';
import { federationFigures } from './metrics.ts';

it('the figures are those of the moment in which somebody asks', async () => {
  const registry = new prometheus.Registry();
  const counts = new FederationCounts();
  const load = { behind: 2, sending: 3, queuedEvents: 40 };
  federationFigures({ counts, destinations: { downCount: 1 }, sender: { load } })(registry, prometheus);
  counts.transactionsReceived = 5;
  counts.eventsReceived.soft_fail = 6;
  expect(await registry.metrics()).toContain('stele_federation_transactions_received_total 5\n');
  counts.transactionsReceived = 7;
  counts.transactionsSent.failed = 8;
  const text = await registry.metrics();
  for (const line of [
    'stele_federation_destinations_down 1',
    'stele_federation_destinations_behind 2',
    'stele_federation_destinations_sending 3',
    'stele_federation_events_queued 40',
    'stele_federation_transactions_received_total 7',
    'stele_federation_transactions_sent_total{outcome="failed"} 8',
    'stele_federation_transactions_sent_total{outcome="taken"} 0',
    'stele_federation_events_received_total{verdict="soft_fail"} 6',
    'stele_federation_events_sent_total 0',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
});
