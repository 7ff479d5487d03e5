import { Buffer } from 'node:buffer';
import { encodeBase64 } from './base64.ts';
import { EncodedEvent, memberText } from './event-texts.ts';
import { carriedEventId, eventIdFromReferenceHash, sha256Base64, sha256Base64Url } from './hashing.ts';
import type { EventReference, JsonObject, Pdu } from './pdu.ts';
import type { RoomVersionRules } from './room-version.ts';
import type { SigningKey } from './signing.ts';

/** An event of our own before it is hashed and signed. */
export interface EventDraft extends JsonObject {
  readonly type: string;
  /** Left out of the create event where the room version makes the room id from its hash (version 12). */
  readonly room_id?: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content: JsonObject;
  /** Milliseconds since the epoch. */
  readonly origin_server_ts: number;
  readonly depth: number;
  /** Named as the room version wants it: see `eventReference`. */
  readonly prev_events: readonly EventReference[];
  readonly auth_events: readonly EventReference[];
  /** The id that the event is to have, in the room versions where its server chooses it (1 and 2). */
  readonly event_id?: string;
  readonly unsigned?: JsonObject;
  readonly hashes?: undefined;
  readonly signatures?: undefined;
}

/** An event of our own, ready to be recorded and sent. */
export interface BuiltEvent {
  readonly pdu: Pdu;
  readonly eventId: string;
  /** In URL-safe base64; see `referenceHash`. */
  readonly referenceHash: string;
  /** Canonical JSON of the skeleton (see `splitPdu`): what redaction keeps, hashes and signatures included. */
  readonly skeletonJson: string;
  /** Size of the PDU in canonical JSON in bytes. */
  readonly sizeBytes: number;
}

/**
 * Hashes and signs an event of our own, each of its members encoded once. It is canonical JSON to the letter, also
 * where the room version would let others be looser.
 * Source: server-server API, "Adding hashes and signatures to outgoing events".
 *
 * @throws {CanonicalJsonError} if the draft has no canonical encoding.
 * @throws {MissingEventIdError} if the draft has no `event_id` in a room version where servers choose it (1 and 2).
 */
export function buildEvent(
  draft: EventDraft,
  rules: RoomVersionRules,
  serverName: string,
  key: SigningKey,
): BuiltEvent {
  const encoded = new EncodedEvent(draft, rules, 'strict');
  const sha256 = sha256Base64(encoded.hashedJson);
  const hashes = memberText('hashes', { sha256 }, 'strict');
  const signedJson = encoded.signedJson(hashes);
  const referenceHash = sha256Base64Url(signedJson);
  const signature = encodeBase64(key.sign(Buffer.from(signedJson)));
  const signatures = { [serverName]: { [key.keyId]: signature } };
  const { skeletonJson, sizeBytes } = encoded.texts(
    hashes,
    memberText('signatures', signatures, 'strict'),
    memberText('unsigned', draft.unsigned, 'strict'),
  );
  return {
    pdu: { ...draft, hashes: { sha256 }, signatures },
    eventId:
      rules.eventIdFormat === 'opaque_with_domain'
        ? carriedEventId(draft)
        : eventIdFromReferenceHash(referenceHash, rules),
    referenceHash,
    skeletonJson,
    sizeBytes,
  };
}
