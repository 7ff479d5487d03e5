import { Buffer } from 'node:buffer';
import { canonicalKeys, canonicalMember, type NumberStrictness } from './canonical-json.ts';
import { numberStrictness } from './hashing.ts';
import type { JsonObject, JsonValue, Pdu } from './pdu.ts';
import { redactContent } from './redaction.ts';
import type { RoomVersionRules } from './room-version.ts';

/** The canonical texts of an event that hashes and signatures are over. */
export interface EventTexts {
  /** What the content hash covers: all but `hashes`, `signatures` and `unsigned`. */
  readonly hashedJson: string;
  /** What the reference hash and all signatures cover: the redacted event without `signatures`. */
  readonly signedJson: string;
  /** The redacted event with its hashes and signatures: the skeleton, see `splitPdu`. */
  readonly skeletonJson: string;
  /** Size of the whole event in UTF-8 bytes. */
  readonly sizeBytes: number;
}

/**
 * The texts of an event that has its hashes and signatures. Every member is encoded once, and its content once more for what
 * redaction keeps of it.
 * Source: server-server API, "Calculating the reference hash for an event", "Calculating the content hash for an event".
 *
 * @throws {CanonicalJsonError} if the event has no canonical encoding.
 */
export function eventTexts(event: JsonObject, rules: RoomVersionRules): EventTexts {
  const strictness = numberStrictness(rules);
  const text = (key: string): string => memberText(key, event[key], strictness);
  return new EncodedEvent(event, rules, strictness).texts(text('hashes'), text('signatures'), text('unsigned'));
}

/** The encoded members of an event, `"key":value,` each, in canonical order; without those that hashes are not over. */
export class EncodedEvent {
  #whole = '';
  /** What redaction keeps. */
  #kept = '';
  // Where `hashes` and `signatures` have their places in it.
  #hashesAt = 0;
  #signaturesAt = 0;

  /** @throws {CanonicalJsonError} if the event has no canonical encoding. */
  constructor(event: JsonObject, rules: RoomVersionRules, strictness: NumberStrictness) {
    const { keptKeys } = rules.redaction;
    for (const key of canonicalKeys(event)) {
      if (key === 'hashes' || key === 'signatures' || key === 'unsigned') continue;
      const member = memberText(key, event[key], strictness);
      this.#whole += member;
      if (!keptKeys.includes(key)) continue;
      this.#kept += key === 'content' ? memberText(key, redactContent(event as Pdu, rules), strictness) : member;
      if (key < 'hashes') this.#hashesAt = this.#kept.length;
      if (key < 'signatures') this.#signaturesAt = this.#kept.length;
    }
  }

  /** See {@link EventTexts}. */
  get hashedJson(): string {
    return asObject(this.#whole);
  }

  /**
   * See {@link EventTexts}.
   * @param hashes the member `hashes`, encoded as all are here.
   */
  signedJson(hashes: string): string {
    return asObject(insertedAt(this.#kept, this.#hashesAt, hashes));
  }

  /** All the texts, by those members that hashes are not over, encoded as all are here; empty where they are not there. */
  texts(hashes: string, signatures: string, unsigned: string): EventTexts {
    const withHashes = insertedAt(this.#kept, this.#hashesAt, hashes);
    return {
      hashedJson: asObject(this.#whole),
      signedJson: asObject(withHashes),
      skeletonJson: asObject(insertedAt(withHashes, this.#signaturesAt + hashes.length, signatures)),
      // The comma after the last member stands for the closing brace.
      sizeBytes:
        1 + [this.#whole, hashes, signatures, unsigned].reduce((sum, text) => sum + Buffer.byteLength(text), 0),
    };
  }
}

/** A member in canonical JSON with a comma behind it, `"key":value,`; empty for one that is not there. */
export function memberText(key: string, value: JsonValue | undefined, strictness: NumberStrictness): string {
  return value === undefined ? '' : `${canonicalMember(key, value, strictness)},`;
}

function insertedAt(members: string, at: number, member: string): string {
  return members.slice(0, at) + member + members.slice(at);
}

function asObject(members: string): string {
  return `{${members.slice(0, -1)}}`;
}
