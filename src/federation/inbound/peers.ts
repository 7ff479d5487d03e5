/** Asks other servers for events that a received one names. */
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Logger } from '#src/log/logger.ts';
import type { MissingEvents, ReceivingRoom, ToldState } from '#src/rooms/receive/types.ts';
import { type FederationClient, type FederationRequest, federationPath } from '../client.ts';
import { FederationError } from '../errors.ts';

/** Requests for single events that are under way at a time, for one event that names them. */
const MAX_PARALLEL_EVENTS = 8;
/** Ids that a told state may have. */
const MAX_STATE_IDS = 500_000;
const MAX_STATE_IDS_BYTES = 64 * 1024 * 1024;
/** The state of the largest rooms. */
const MAX_STATE_BYTES = 256 * 1024 * 1024;
/** Single events that are asked for in vain before the others are not asked for any more. */
const MAX_ASKED_IN_VAIN = 20;
/** For an answer that the other server has to put together. */
const STATE_DEADLINE_MS = 60_000;

export interface PeersOptions {
  readonly client: FederationClient;
  readonly logger: Logger;
}

/** Other servers as a source of events; one that cannot be reached, or tells nonsense, has nothing. */
export class Peers implements MissingEvents {
  readonly #options: PeersOptions;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid */
  async between(
    { roomId }: ReceivingRoom,
    origin: string,
    { earliest, latest, limit }: { earliest: readonly string[]; latest: readonly string[]; limit: number },
    signal?: AbortSignal,
  ): Promise<readonly JsonObject[]> {
    const answer = await this.#ask({
      destination: origin,
      method: 'POST',
      path: federationPath`/_matrix/federation/v1/get_missing_events/${roomId}`,
      content: { earliest_events: [...earliest], latest_events: [...latest], limit, min_depth: 0 },
      ...within(signal),
    });
    return objectsIn(answer?.events).slice(0, limit);
  }

  /** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid */
  async stateBefore(
    { roomId }: ReceivingRoom,
    origin: string,
    eventId: string,
    signal?: AbortSignal,
  ): Promise<ToldState | undefined> {
    const answer = await this.#ask({
      destination: origin,
      method: 'GET',
      path: `${federationPath`/_matrix/federation/v1/state_ids/${roomId}`}?event_id=${encodeURIComponent(eventId)}`,
      maxAnswerBytes: MAX_STATE_IDS_BYTES,
      deadlineMs: STATE_DEADLINE_MS,
      ...within(signal),
    });
    if (answer === undefined || !Array.isArray(answer.pdu_ids) || !Array.isArray(answer.auth_chain_ids))
      return undefined;
    return { stateEventIds: textsIn(answer.pdu_ids), authEventIds: textsIn(answer.auth_chain_ids) };
  }

  /** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid */
  async stateEventsBefore(
    { roomId }: ReceivingRoom,
    origin: string,
    eventId: string,
    signal?: AbortSignal,
  ): Promise<readonly JsonObject[]> {
    const answer = await this.#ask({
      destination: origin,
      method: 'GET',
      path: `${federationPath`/_matrix/federation/v1/state/${roomId}`}?event_id=${encodeURIComponent(eventId)}`,
      maxAnswerBytes: MAX_STATE_BYTES,
      deadlineMs: STATE_DEADLINE_MS,
      ...within(signal),
    });
    return [...objectsIn(answer?.auth_chain), ...objectsIn(answer?.pdus)];
  }

  /** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid */
  async events(
    _room: ReceivingRoom,
    origin: string,
    eventIds: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly JsonObject[]> {
    const found: JsonObject[] = [];
    let next = 0;
    let inVain = 0;
    const ask = async (): Promise<void> => {
      for (let eventId = eventIds[next++]; eventId !== undefined; eventId = eventIds[next++]) {
        if (inVain >= MAX_ASKED_IN_VAIN || signal?.aborted) return;
        const answer = await this.#ask({
          destination: origin,
          method: 'GET',
          path: federationPath`/_matrix/federation/v1/event/${eventId}`,
          ...within(signal),
        });
        const [event] = objectsIn(answer?.pdus);
        if (event === undefined) inVain += 1;
        else found.push(event);
      }
    };
    await Promise.all(Array.from({ length: Math.min(MAX_PARALLEL_EVENTS, eventIds.length) }, ask));
    return found;
  }

  async #ask(request: FederationRequest): Promise<JsonObject | undefined> {
    const { client, logger } = this.#options;
    try {
      // It has just sent us something, so it is there.
      return await client.request({ ...request, isUrgent: true });
    } catch (error) {
      const isTooLate = request.signal?.aborted === true;
      if (!(error instanceof FederationError || isTooLate)) throw error;
      logger.info(
        { destination: request.destination, path: request.path, reason: String(error) },
        'a peer did not tell',
      );
      return undefined;
    }
  }
}

/** The JSON objects of a list that a peer sent. */
export function objectsIn(list: unknown): JsonObject[] {
  return Array.isArray(list) ? list.filter((one): one is JsonObject => isJsonObject(one)) : [];
}

function textsIn(list: readonly unknown[]): string[] {
  return list.slice(0, MAX_STATE_IDS).filter((one) => typeof one === 'string');
}

function within(signal: AbortSignal | undefined): Pick<FederationRequest, 'signal'> {
  return signal === undefined ? {} : { signal };
}
