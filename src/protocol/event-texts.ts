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

/**
 * The encoded members of an event, `"key":value` each, in canonical order; without those that hashes are not over. Texts are only
 * ever added to here, never cut: V8 then copies each once, when it is hashed.
 */
export class EncodedEvent {
  #whole = '';
  // What redaction keeps: three runs, between which `hashes` and `signatures` have their places.
  #keptBeforeHashes = '';
  #keptBeforeSignatures = '';
  #keptAfterSignatures = '';

  /** @throws {CanonicalJsonError} if the event has no canonical encoding. */
  constructor(event: JsonObject, rules: RoomVersionRules, strictness: NumberStrictness) {
    const { keptKeys } = rules.redaction;
    for (const key of canonicalKeys(event)) {
      if (key === 'hashes' || key === 'signatures' || key === 'unsigned') continue;
      const member = memberText(key, event[key], strictness);
      this.#whole = joined(this.#whole, member);
      if (!keptKeys.includes(key)) continue;
      const kept = key === 'content' ? memberText(key, redactContent(event as Pdu, rules), strictness) : member;
      if (key < 'hashes') this.#keptBeforeHashes = joined(this.#keptBeforeHashes, kept);
      else if (key < 'signatures') this.#keptBeforeSignatures = joined(this.#keptBeforeSignatures, kept);
      else this.#keptAfterSignatures = joined(this.#keptAfterSignatures, kept);
    }
  }

  /** See {@link EventTexts}. */
  get hashedJson(): string {
    return `{${this.#whole}}`;
  }

  /**
   * See {@link EventTexts}.
   * @param hashes the member `hashes`, encoded.
   */
  signedJson(hashes: string): string {
    return `{${joined(this.#keptUntilSignatures(hashes), this.#keptAfterSignatures)}}`;
  }

  /** All the texts, by those members that hashes are not over, encoded; empty where they are not there. */
  texts(hashes: string, signatures: string, unsigned: string): EventTexts {
    const { hashedJson } = this;
    const kept = joined(joined(this.#keptUntilSignatures(hashes), signatures), this.#keptAfterSignatures);
    return {
      hashedJson,
      signedJson: this.signedJson(hashes),
      skeletonJson: `{${kept}}`,
      sizeBytes: Buffer.byteLength(hashedJson) + sizeBehind(hashes) + sizeBehind(signatures) + sizeBehind(unsigned),
    };
  }

  #keptUntilSignatures(hashes: string): string {
    return joined(joined(this.#keptBeforeHashes, hashes), this.#keptBeforeSignatures);
  }
}

/** A member in canonical JSON, `"key":value`; empty for one that is not there. */
export function memberText(key: string, value: JsonValue | undefined, strictness: NumberStrictness): string {
  return value === undefined ? '' : canonicalMember(key, value, strictness);
}

/** Members one after the other. */
function joined(members: string, more: string): string {
  if (members === '') return more;
  return more === '' ? members : `${members},${more}`;
}

/** What a member takes behind others, in bytes. */
function sizeBehind(member: string): number {
  return member === '' ? 0 : 1 + Buffer.byteLength(member);
}
