import { isJsonObject } from '#protocol/json-object.ts';
import type { Receiver } from '#src/rooms/receive/receiver.ts';
import type { ToldEvents } from '#src/rooms/receive/told-events.ts';
import type { ReceivingRoom } from '#src/rooms/receive/types.ts';
import { type FederationClient, type FederationRequest, federationPath } from './client.ts';
import { readEventLists } from './event-lists.ts';

const STATE = 'pdus';
const LISTS: ReadonlySet<string> = new Set([STATE, 'auth_chain']);

/** The state of a room before an event, as another server tells it. Nothing of it is taken in yet. */
export interface StateBefore {
  /** The state and what authorises it. */
  readonly told: ToldEvents;
  /** Ids of the events that the state has. */
  readonly stateIds: ReadonlySet<string>;
}

/**
 * Asks a server for the state before an event, and reads it while it comes in.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid
 *
 * @throws {FederationError}, or the reason of the signal.
 */
export async function stateBefore(
  { client, receiver }: { readonly client: Pick<FederationClient, 'read'>; readonly receiver: Receiver },
  room: ReceivingRoom,
  eventId: string,
  limits: Pick<FederationRequest, 'destination' | 'deadlineMs' | 'maxAnswerBytes' | 'signal'>,
): Promise<StateBefore> {
  const told = receiver.toldEvents(room, limits.destination);
  const stateIds = new Set<string>();
  const path = `${federationPath`/_matrix/federation/v1/state/${room.roomId}`}?event_id=${encodeURIComponent(eventId)}`;
  await client.read({ ...limits, method: 'GET', path, isUrgent: true }, (body) =>
    readEventLists(body, LISTS, ({ list, value, text }) => {
      const id = isJsonObject(value) ? told.add(value, text) : undefined;
      if (id !== undefined && list === STATE) stateIds.add(id);
    }),
  );
  return { told, stateIds };
}
