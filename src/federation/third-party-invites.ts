/**
 * Invites to people of whom only an address is known. https://spec.matrix.org/v1.19/server-server-api/#third-party-invites
 */
import type { Reader } from '#projections/engine/reader.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { signaturesByPublicKey } from '#protocol/auth/third-party-invite.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { forbidden, MatrixError, notFound } from '#src/http/errors.ts';
import { requireInvitable } from '#src/rooms/invite-permission.ts';
import type { Receiver } from '#src/rooms/receive/receiver.ts';
import type { Rooms } from '#src/rooms/rooms.ts';
import { type FederationClient, federationPath } from './client.ts';
import { FederationError } from './errors.ts';
import type { IdentityServers, ThirdPartyAddress } from './identity-servers.ts';
import { refusal } from './inbound/handshakes.ts';
import type { Inviting } from './inviting.ts';

const PENDING = 'm.room.third_party_invite';

export interface ThirdPartyInvitesOptions {
  readonly identity: IdentityServers;
  readonly client: FederationClient;
  readonly rooms: Rooms;
  readonly receiver: Receiver;
  readonly inviting: Inviting;
  readonly reader: Reader;
  readonly serverName: string;
}

/** What an identity server signed for the user who turned out to have an address. */
export interface RedeemedInvite {
  readonly roomId: string;
  /** Who sent the invite. */
  readonly sender: string;
  /** Who is invited. */
  readonly target: string;
  readonly signed: JsonObject;
}

/** Sends such invites, and makes them invites of users once somebody knows who is meant. */
export class ThirdPartyInvites {
  readonly #options: ThirdPartyInvitesOptions;

  constructor(options: ThirdPartyInvitesOptions) {
    this.#options = options;
  }

  /**
   * Invites whoever has an address.
   * @returns the user who has it, whom the caller is to invite; undefined if an invite waits for whoever will have it.
   * @throws {MatrixError} M_FORBIDDEN for who may not invite, and what the identity server made of it.
   */
  async invite(sender: string, roomId: string, at: ThirdPartyAddress): Promise<string | undefined> {
    const { identity, rooms, reader } = this.#options;
    // Nobody is told of a room into which the user may invite nobody.
    rooms.check(roomId, { sender, type: PENDING, stateKey: 'token', content: {} });
    const known = await identity.lookUp(at);
    if (known !== undefined) return known;
    const name = rooms.state(roomId, 'm.room.name', '')?.content['name'];
    const { displayname } = profileOf(reader, sender) as { readonly displayname?: unknown };
    const { token, content } = await identity.storeInvite(at, {
      roomId,
      sender,
      about: {
        ...(typeof name === 'string' && { room_name: name }),
        ...(typeof displayname === 'string' && { sender_display_name: displayname }),
      },
    });
    await rooms.send(roomId, { sender, type: PENDING, stateKey: token, content });
    return undefined;
  }

  /**
   * Makes the invite of a user of what was signed for them: here, where this server is in the room; else the server of who sent
   * it is asked to.
   * @throws {MatrixError} M_FORBIDDEN if it is not signed with a good key of the invite. @throws {FederationError}
   */
  async redeem(invite: RedeemedInvite): Promise<void> {
    const { rooms } = this.#options;
    if (rooms.isResident(invite.roomId)) return this.redeemHere(invite);
    return this.#exchange(invite);
  }

  /** As {@link redeem}, for a room that this server is in. @throws {MatrixError} M_NOT_FOUND for another one. */
  async redeemHere({ roomId, sender, target, signed }: RedeemedInvite): Promise<void> {
    const { rooms, inviting, receiver, reader, serverName } = this.#options;
    const room = findRoom(reader, roomId);
    const rules = room && roomVersionRules(room.version);
    if (rules === undefined || !rooms.isResident(roomId)) throw notFound('This server is not in the room.');
    requireInvitable(reader, target);
    const { token } = signed;
    const pending = typeof token === 'string' ? rooms.state(roomId, PENDING, token) : undefined;
    if (pending === undefined) throw forbidden('The room has no such invite.');
    await this.#requireGoodKey(pending.content, signed);
    const name = pending.content['display_name'];
    const event = {
      sender,
      type: 'm.room.member',
      stateKey: target,
      content: {
        membership: 'invite',
        third_party_invite: { display_name: typeof name === 'string' ? name : '', signed },
      },
    };
    if (inviting.concerns(target)) return inviting.invite(roomId, event);
    if (serverNameOf(sender) === serverName) {
      await rooms.send(roomId, event);
      return;
    }
    // Whoever sent it vouched for it with the invite that waited: their server need not sign this one, but is told of it by us.
    const { pdu } = rooms.sign(rooms.draft(roomId, event), rules);
    const verdict = await receiver.receiveForAll({ roomId, rules }, serverName, pdu);
    if (verdict.kind !== 'accept') throw refusal(verdict);
  }

  /** Some key of the invite signed it, and is not revoked. Source: client-server API, "Third-party invites". */
  async #requireGoodKey(pending: JsonObject, signed: JsonObject): Promise<void> {
    const { identity } = this.#options;
    for (const publicKey of signaturesByPublicKey(signed, pending)) {
      const validityUrl = validityUrlOf(pending, publicKey);
      if (validityUrl === undefined || (await identity.isKeyValid(validityUrl, publicKey))) return;
    }
    throw forbidden('The invite is not signed with a key that is good.');
  }

  async #exchange({ roomId, sender, target, signed }: RedeemedInvite): Promise<void> {
    const { client, serverName } = this.#options;
    const servers = new Set([serverNameOf(sender), serverNameOf(roomId)]);
    let failure: unknown = new MatrixError('M_NOT_FOUND', 'No server is known that is in the room.');
    for (const destination of servers) {
      if (destination === undefined || destination === serverName) continue;
      try {
        await client.request({
          destination,
          method: 'PUT',
          path: federationPath`/_matrix/federation/v1/exchange_third_party_invite/${roomId}`,
          content: {
            type: 'm.room.member',
            room_id: roomId,
            sender,
            state_key: target,
            content: { membership: 'invite', third_party_invite: { display_name: target, signed } },
          },
        });
        return;
      } catch (error) {
        if (!(error instanceof FederationError)) throw error;
        failure = error;
      }
    }
    throw failure;
  }
}

function validityUrlOf(pending: JsonObject, publicKey: string): string | undefined {
  const { public_key: single, public_keys: list, key_validity_url: url } = pending;
  const entry = (Array.isArray(list) ? list : []).find((one) => isJsonObject(one) && one.public_key === publicKey);
  if (isJsonObject(entry)) return typeof entry.key_validity_url === 'string' ? entry.key_validity_url : undefined;
  return single === publicKey && typeof url === 'string' ? url : undefined;
}
