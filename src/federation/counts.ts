/** What went on between this server and others since it was started: for metrics, so nothing of it is kept. */
import type { Verdict } from '#src/rooms/receive/types.ts';

/** What became of a transaction that was sent. */
export type TransactionOutcome = 'taken' | 'refused' | 'failed';

export class FederationCounts {
  /** Transactions of others, those that came again not counted. */
  transactionsReceived = 0;
  readonly transactionsSent: Record<TransactionOutcome, number> = { taken: 0, refused: 0, failed: 0 };
  /** Events of others, in transactions. */
  readonly eventsReceived: Record<Verdict['kind'], number> = { accept: 0, soft_fail: 0, reject: 0, drop: 0, retry: 0 };
  /** Events in transactions that were taken. */
  eventsSent = 0;
}
