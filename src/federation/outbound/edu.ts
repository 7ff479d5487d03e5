import type { JsonObject } from '#protocol/pdu.ts';
import type { Bus } from '#src/bus/bus.ts';
import type { Position } from '#streams/event-log.ts';

/** An ephemeral data unit. https://spec.matrix.org/v1.19/server-server-api/#edus */
export interface Edu {
  readonly type: string;
  readonly content: JsonObject;
}

/**
 * Where EDUs come from that must not be lost: messages to devices, changes of device lists. They are in the log, so a server
 * that was away gets them when it is back.
 */
export interface LastingEdus {
  /** What a server has not got, in order, at most `limit`; `upTo` is the position to which it would then have got all. */
  after(
    destination: string,
    position: Position,
    limit: number,
  ): Promise<{ readonly edus: readonly Edu[]; readonly upTo: Position; readonly hasMore: boolean }>;
  /**
   * Calls `wake` with the servers that have to hear of something new, before anybody who waits learns that it is there.
   * @returns what ends it
   */
  wakeOnPublished(
    bus: Pick<Bus, 'follow'>,
    wake: (destinations: Iterable<string>, after: Position) => void,
  ): () => void;
  /** Servers for which something came after a position. */
  destinationsSince(position: Position): Iterable<string>;
}
