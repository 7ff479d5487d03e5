/**
 * The records of the stream `server-destinations`: which servers cannot be reached, in coarse steps. One section each,
 * msgpack: `[destination, sinceMs, retryAtMs, intervalMs]` or `[destination]`.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const DESTINATIONS_STREAM = 'server-destinations';

/** Since when a server has not been reached, and when it is tried again; times in milliseconds since the epoch. */
export interface DestinationDown {
  readonly sinceMs: number;
  readonly retryAtMs: number;
  /** How long was waited last. */
  readonly intervalMs: number;
}

/** A server could not be reached for a while, or can be reached again. */
export type DestinationChange =
  | ({ readonly kind: 'federation.destination_down'; readonly destination: string } & DestinationDown)
  | { readonly kind: 'federation.destination_up'; readonly destination: string };

const packr = new Packr({ useRecords: false });

/** The record of a change. */
export function destinationRecord(id: Uint8Array, change: DestinationChange): RecordDraft {
  const { kind } = change;
  return { id, kind, version: recordKinds[kind].version, sections: [packr.pack(partsOf(change))] };
}

function partsOf(change: DestinationChange): unknown[] {
  if (change.kind === 'federation.destination_up') return [change.destination];
  return [change.destination, change.sinceMs, change.retryAtMs, change.intervalMs];
}

/** What a record says of a destination; undefined for a record of another kind, or whose key was destroyed. */
export function readDestinationRecord({ kind, sections }: LogRecord): DestinationChange | undefined {
  if (kind !== 'federation.destination_down' && kind !== 'federation.destination_up') return undefined;
  const section = sections[0];
  if (!section) return undefined;
  if (kind === 'federation.destination_up') {
    const [destination] = packr.unpack(section) as [string];
    return { kind, destination };
  }
  const [destination, sinceMs, retryAtMs, intervalMs] = packr.unpack(section) as [string, number, number, number];
  return { kind, destination, sinceMs, retryAtMs, intervalMs };
}
