import type { Counter } from 'prom-client';
import type { AddFigures } from '#src/http/metrics.ts';
import type { FederationCounts } from './counts.ts';
import type { Destinations } from './destinations.ts';
import type { Sender } from './outbound/sender.ts';

export interface FederationMetricsParts {
  readonly counts: FederationCounts;
  readonly destinations: Pick<Destinations, 'downCount'>;
  readonly sender: Pick<Sender, 'load'>;
}

/** The figures of what goes on between servers. All are read when somebody asks. */
export function federationFigures({ counts, destinations, sender }: FederationMetricsParts): AddFigures {
  return (registry, { Counter, Gauge }) => {
    const registers = [registry];
    new Gauge({
      name: 'stele_federation_destinations_down',
      help: 'Servers that could not be reached when they were last tried.',
      registers,
      collect() {
        this.set(destinations.downCount);
      },
    });
    new Gauge({
      name: 'stele_federation_destinations_behind',
      help: 'Servers that are to be caught up from the log: they do not answer, or wait for their turn.',
      registers,
      collect() {
        this.set(sender.load.behind);
      },
    });
    new Gauge({
      name: 'stele_federation_destinations_sending',
      help: 'Servers that are being sent something.',
      registers,
      collect() {
        this.set(sender.load.sending);
      },
    });
    new Gauge({
      name: 'stele_federation_events_queued',
      help: 'Events that wait in memory, counted for each server that is to get them.',
      registers,
      collect() {
        this.set(sender.load.queuedEvents);
      },
    });
    new Counter({
      name: 'stele_federation_transactions_received_total',
      help: 'Transactions of other servers.',
      registers,
      collect() {
        setTo(this, counts.transactionsReceived);
      },
    });
    new Counter({
      name: 'stele_federation_transactions_sent_total',
      help: 'Transactions to other servers, by what became of them.',
      labelNames: ['outcome'],
      registers,
      collect() {
        this.reset();
        for (const [outcome, count] of Object.entries(counts.transactionsSent)) this.inc({ outcome }, count);
      },
    });
    new Counter({
      name: 'stele_federation_events_received_total',
      help: 'Events in transactions of other servers, by the verdict on them.',
      labelNames: ['verdict'],
      registers,
      collect() {
        this.reset();
        for (const [verdict, count] of Object.entries(counts.eventsReceived)) this.inc({ verdict }, count);
      },
    });
    new Counter({
      name: 'stele_federation_events_sent_total',
      help: 'Events in transactions that other servers took.',
      registers,
      collect() {
        setTo(this, counts.eventsSent);
      },
    });
  };
}

function setTo(counter: Counter, count: number): void {
  counter.reset();
  counter.inc(count);
}
