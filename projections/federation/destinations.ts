/** Which servers could not be reached when last heard of, so that a restart does not try them all at once. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, msgpack, str, tuple } from '#projections/engine/table.ts';
import { type DestinationDown, readDestinationRecord } from './destination-records.ts';

const downDestinations = defineTable({
  name: 'federation-destinations.down',
  key: tuple<[destination: string]>(str),
  value: msgpack<DestinationDown>(),
  why: 'Few servers are down; one that can be reached has no row.',
});

export const destinationsProjection: Projection = {
  name: 'federation-destinations',
  version: 1,
  tables: [downDestinations],
  apply(tx, record) {
    const change = readDestinationRecord(record);
    switch (change?.kind) {
      case 'federation.destination_down': {
        const { destination, sinceMs, retryAtMs, intervalMs } = change;
        tx.put(downDestinations, [destination], { sinceMs, retryAtMs, intervalMs });
        return;
      }
      case 'federation.destination_up':
        tx.remove(downDestinations, [change.destination]);
        return;
      case undefined:
        return;
    }
  },
};

/** What the log says of a server that could not be reached; undefined for one that can be, as far as is known. */
export function destinationDown(reader: Reader, destination: string): DestinationDown | undefined {
  return reader.get(downDestinations, [destination]);
}

/** The servers that could not be reached when last heard of, in order of their names. */
export function* downDestinationsOf(reader: Reader): Generator<DestinationDown & { readonly destination: string }> {
  for (const { key, value } of reader.range(downDestinations)) yield { destination: key[0], ...value };
}
