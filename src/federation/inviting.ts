/** Invites to users of other servers. https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { CanonicalJsonError, canonicalJson } from '#protocol/canonical-json.ts';
import { eventIdOf, numberStrictness } from '#protocol/hashing.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { type RoomVersionRules, roomVersionRules } from '#protocol/room-version.ts';
import { badJson, MatrixError } from '#src/http/errors.ts';
import type { EventToSend } from '#src/rooms/event-writer.ts';
import type { Receiver } from '#src/rooms/receive/receiver.ts';
import type { Rooms } from '#src/rooms/rooms.ts';
import type { EventLog } from '#streams/event-log.ts';
import { type FederationClient, federationPath } from './client.ts';
import { FederationError } from './errors.ts';
import { refusal } from './inbound/handshakes.ts';
import { strippedRoomState } from './stripped-room-state.ts';

export interface InvitingOptions {
  readonly client: FederationClient;
  readonly rooms: Rooms;
  readonly receiver: Receiver;
  readonly log: EventLog;
  readonly reader: Reader;
  readonly serverName: string;
}

/** Has the servers of invited users sign their invites before the room gets them. */
export class Inviting {
  readonly #options: InvitingOptions;

  constructor(options: InvitingOptions) {
    this.#options = options;
  }

  /** Whether the server of a user is another one, which has to be asked. */
  concerns(userId: string): boolean {
    return serverNameOf(userId) !== this.#options.serverName;
  }

  /**
   * Sends an invite to a user of another server: that server signs it, and shows it to the user, before the room gets it.
   *
   * @throws {MatrixError} as `Rooms.send`, and what the other server says of it.
   * @throws {FederationError} if the other server cannot be reached: there is no invite then.
   */
  async invite(roomId: string, event: EventToSend & { readonly stateKey: string }): Promise<void> {
    const { client, rooms, receiver, reader, serverName } = this.#options;
    const room = findRoom(reader, roomId);
    const rules = room && roomVersionRules(room.version);
    if (room === undefined || rules === undefined) throw new MatrixError('M_NOT_FOUND');
    const destination = serverNameOf(event.stateKey) ?? '';
    const built = rooms.sign(rooms.draft(roomId, event), rules);
    // Whoever is invited hears of it before the room does.
    const pdu = await rooms.recommended(roomId, built.pdu);
    const told = await strippedRoomState(this.#options, room, [event.sender]);
    const path = federationPath`/_matrix/federation/v2/invite/${roomId}/${built.eventId}`;
    const content = { event: pdu, room_version: room.version, invite_room_state: told };
    const answer = await client
      .request({ destination, method: 'PUT', path, content, isUrgent: true })
      .catch((error: unknown) => {
        if (!isUnknownPath(error) || !rules.eventFormat.referencesHoldHashes) throw error;
        return this.#inviteOlder(destination, roomId, built.eventId, {
          ...pdu,
          unsigned: { invite_room_state: told },
        });
      });
    const signed = answer.event;
    if (!isJsonObject(signed) || !isJsonObject(signed.signatures) || idOf(signed, rules) !== built.eventId) {
      throw new FederationError('bad_answer', destination, 'it gave back another event than the invite');
    }
    const both = { ...pdu, signatures: { ...signed.signatures, ...pdu.signatures } };
    const verdict = await receiver.receive({ roomId, rules }, serverName, both);
    if (verdict.kind !== 'accept') throw refusal(verdict);
  }

  /** As servers had it that know only the oldest room versions. */
  #inviteOlder(destination: string, roomId: string, eventId: string, event: JsonObject): Promise<JsonObject> {
    const path = federationPath`/_matrix/federation/v1/invite/${roomId}/${eventId}`;
    return this.#options.client.request({ destination, method: 'PUT', path, content: event, isUrgent: true });
  }
}

/** @throws {MatrixError} M_BAD_JSON for an event without a canonical form. */
function idOf(event: JsonObject, rules: RoomVersionRules): string {
  try {
    canonicalJson(event, numberStrictness(rules));
    return eventIdOf(event as Pdu, rules);
  } catch (error) {
    if (!(error instanceof CanonicalJsonError)) throw error;
    throw badJson(`The other server gave back an event that has no canonical form: ${error.message}`);
  }
}

function isUnknownPath(error: unknown): boolean {
  return error instanceof FederationError && error.kind === 'http' && (error.status === 404 || error.status === 400);
}
