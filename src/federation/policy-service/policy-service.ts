/** This server as the policy server of rooms. https://spec.matrix.org/v1.19/server-server-api/#policy-servers */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, type Room } from '#projections/rooms/queries.ts';
import { encodeBase64 } from '#protocol/base64.ts';
import { checkEventFormat } from '#protocol/event-format.ts';
import { hasValidContentHash } from '#protocol/hashing.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { SigningKey } from '#protocol/signing.ts';
import type { Config } from '#src/config/schema.ts';
import { badJson, MatrixError, notFound } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import { isExempt } from '#src/rooms/policy.ts';
import { admittedRoom } from '../inbound/admission.ts';
import { type PolicyBounds, refusalOf } from './decision.ts';
import { PolicyLists } from './policy-lists.ts';

export interface PolicyServiceOptions {
  readonly serverName: string;
  /** The key of policy servers, which is not the one that events are signed with. */
  readonly key: SigningKey;
  readonly settings: Config['policy_server'];
  readonly reader: Reader;
  readonly logger: Logger;
}

/** Decides whether events are recommended, and signs those that are. */
export class PolicyService {
  readonly #options: PolicyServiceOptions;
  readonly #lists: PolicyLists;
  readonly #bounds: PolicyBounds;
  readonly #rooms: ReadonlySet<string> | undefined;

  constructor(options: PolicyServiceOptions) {
    const { settings, reader, logger } = options;
    this.#options = options;
    this.#lists = new PolicyLists({ reader, roomIds: settings.lists, logger });
    this.#bounds = {
      maxMentions: settings.max_mentions ?? undefined,
      maxEventBytes: settings.max_event_size ?? undefined,
    };
    this.#rooms = settings.rooms === null ? undefined : new Set(settings.rooms);
  }

  /** What rooms name in `m.room.policy`, in unpadded base64. */
  get publicKey(): string {
    return encodeBase64(this.#options.key.publicKey);
  }

  /**
   * The signature of an event that is recommended, in unpadded base64.
   *
   * @param origin the server that asks; this one itself for what its own users send.
   * @throws {MatrixError} M_NOT_FOUND for a room that nobody of this server is in, or that is none of those it signs for;
   *   M_FORBIDDEN with 403 where the access list of the room shuts the other server out, with 400 where something is against the
   *   event; M_BAD_JSON for what is no event of the room.
   */
  async sign(origin: string, event: JsonObject): Promise<string> {
    const { serverName, key, reader, logger } = this.#options;
    const { room_id: roomId } = event;
    if (typeof roomId !== 'string') throw badJson('The event names no room.');
    if (this.#rooms !== undefined && !this.#rooms.has(roomId))
      throw notFound('This server does not look after that room.');
    const room = origin === serverName ? ownRoom(reader, roomId) : admittedRoom(reader, serverName, origin, roomId);
    const rules = roomVersionRules(room.version);
    if (rules === undefined) throw notFound('This server does not know the version of the room.');
    const form = checkEventFormat(event, rules);
    if (!form.valid) throw badJson(form.reason);
    const { pdu, texts } = form;
    // The signature covers the content by its hash alone: what is looked at has to be what is signed.
    if (!hasValidContentHash(pdu, rules, texts)) throw refused('The hash of the event is not that of its content.');
    if (isExempt(pdu)) throw refused('The event that names the policy server is not for it to sign.');
    const refusal = refusalOf({ pdu, roomId, sizeBytes: texts.sizeBytes }, await this.#lists.rules(), this.#bounds);
    if (refusal !== undefined) {
      logger.info({ origin, roomId, sender: pdu.sender, reason: refusal }, 'an event was not recommended');
      throw refused(refusal);
    }
    return encodeBase64(key.sign(Buffer.from(texts.signedJson, 'utf8')));
  }
}

function refused(message: string): MatrixError {
  return new MatrixError('M_FORBIDDEN', message, { status: 400 });
}

/** A room, where this server itself asks, whatever the access list of the room says. */
function ownRoom(reader: Reader, roomId: string): Room {
  const room = findRoom(reader, roomId);
  if (room === undefined) throw notFound();
  return room;
}
