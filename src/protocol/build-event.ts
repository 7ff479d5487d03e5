import { Buffer } from 'node:buffer';
import { encodeBase64 } from './base64.ts';
import { canonicalKeys, canonicalMember } from './canonical-json.ts';
import { carriedEventId, eventIdFromReferenceHash, sha256Base64, sha256Base64Url } from './hashing.ts';
import type { EventReference, JsonObject, Pdu } from './pdu.ts';
import { redactContent } from './redaction.ts';
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
  /** Size of the PDU in canonical JSON in bytes, for `checkEventFormat`. */
  readonly sizeBytes: number;
}

/**
 * Hashes and signs an event of our own. Each top-level value is encoded once; the encodings are put together to what
 * is content-hashed, to what is reference-hashed and signed, and to the skeleton. It is canonical JSON to the letter, also
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
  const encoded = encodeMembers(draft, rules);
  const sha256 = sha256Base64(`{${withoutLastComma(encoded.whole)}}`);
  const hashesJson = `"hashes":{"sha256":"${sha256}"},`;
  const keptStart = `{${encoded.keptBeforeHashes}${hashesJson}${encoded.keptBeforeSignatures}`;
  // There is always a member after "signatures": the type is kept in every room version.
  const keptEnd = `${withoutLastComma(encoded.keptAfterSignatures)}}`;
  const signedJson = keptStart + keptEnd;
  const referenceHash = sha256Base64Url(signedJson);
  const signature = encodeBase64(key.sign(Buffer.from(signedJson)));
  const signatures = { [serverName]: { [key.keyId]: signature } };
  const signaturesJson = `${canonicalMember('signatures', signatures)},`;
  const unsignedJson = draft.unsigned === undefined ? '' : `${canonicalMember('unsigned', draft.unsigned)},`;
  return {
    pdu: { ...draft, hashes: { sha256 }, signatures },
    eventId:
      rules.eventIdFormat === 'opaque_with_domain'
        ? carriedEventId(draft)
        : eventIdFromReferenceHash(referenceHash, rules),
    referenceHash,
    skeletonJson: keptStart + signaturesJson + keptEnd,
    // The comma after the last member stands for the closing brace.
    sizeBytes: Buffer.byteLength(`{${encoded.whole}${hashesJson}${signaturesJson}${unsignedJson}`),
  };
}

/** Encoded members `"key":value,` of an event in canonical order, but for those that are hashed around. */
interface EncodedMembers {
  /** All that the content hash covers. */
  whole: string;
  /** What redaction keeps, in the three runs between which `hashes` and `signatures` have their places. */
  keptBeforeHashes: string;
  keptBeforeSignatures: string;
  keptAfterSignatures: string;
}

function encodeMembers(draft: EventDraft, rules: RoomVersionRules): EncodedMembers {
  const encoded: EncodedMembers = {
    whole: '',
    keptBeforeHashes: '',
    keptBeforeSignatures: '',
    keptAfterSignatures: '',
  };
  for (const key of canonicalKeys(draft)) {
    const value = draft[key];
    if (value === undefined || NOT_HASHED.has(key)) continue;
    const member = `${canonicalMember(key, value)},`;
    encoded.whole += member;
    if (!rules.redaction.keptKeys.includes(key)) continue;
    const kept = key === 'content' ? `${canonicalMember(key, redactContent(draft, rules))},` : member;
    if (key < 'hashes') encoded.keptBeforeHashes += kept;
    else if (key < 'signatures') encoded.keptBeforeSignatures += kept;
    else encoded.keptAfterSignatures += kept;
  }
  return encoded;
}

/** What the content hash leaves out. */
const NOT_HASHED: ReadonlySet<string> = new Set(['hashes', 'signatures', 'unsigned']);

function withoutLastComma(members: string): string {
  return members.slice(0, -1);
}
