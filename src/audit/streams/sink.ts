import type { AuditEntryJson } from '../entry-json.ts';

/** Takes entries somewhere outside. */
export interface AuditSink {
  /** For the operator's log: what it is, without credentials. */
  readonly name: string;
  /**
   * Resolves when the entries are with whoever keeps them, as far as that can be told. Rejects if they may not be; they are sent
   * again then, so that they come at least once.
   */
  send(entries: readonly AuditEntryJson[]): Promise<void>;
  close(): Promise<void>;
}
