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

/** What the content hash leaves out. */
const NOT_HASHED: ReadonlySet<string> = new Set(['hashes', 'signatures', 'unsigned']);

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

/** The encoded members of an event, in canonical order; without those that hashes are not over. */
export class EncodedEvent {
  readonly #all: string[] = [];
  // What redaction keeps: three runs, between which `hashes` and `signatures` have their places.
  readonly #keptBeforeHashes: string[] = [];
  readonly #keptBeforeSignatures: string[] = [];
  readonly #keptAfterSignatures: string[] = [];

  /** @throws {CanonicalJsonError} if the event has no canonical encoding. */
  constructor(event: JsonObject, rules: RoomVersionRules, strictness: NumberStrictness) {
    const { keptKeys } = rules.redaction;
    for (const key of canonicalKeys(event)) {
      if (NOT_HASHED.has(key)) continue;
      const member = memberText(key, event[key], strictness);
      if (member === '') continue;
      this.#all.push(member);
      if (!keptKeys.includes(key)) continue;
      const kept = key === 'content' ? memberText(key, redactContent(event as Pdu, rules), strictness) : member;
      if (kept !== '') this.#runOf(key).push(kept);
    }
  }

  /** See {@link EventTexts}. */
  get hashedJson(): string {
    return `{${this.#all.join()}}`;
  }

  /**
   * See {@link EventTexts}.
   * @param hashes the member `hashes`, encoded.
   */
  signedJson(hashes: string): string {
    return this.#kept(hashes, '');
  }

  /** All the texts, by those members that hashes are not over, encoded; empty where they are not there. */
  texts(hashes: string, signatures: string, unsigned: string): EventTexts {
    const { hashedJson } = this;
    return {
      hashedJson,
      signedJson: this.#kept(hashes, ''),
      skeletonJson: this.#kept(hashes, signatures),
      sizeBytes: [hashes, signatures, unsigned].reduce(
        (size, member) => (member === '' ? size : size + 1 + Buffer.byteLength(member)),
        Buffer.byteLength(hashedJson),
      ),
    };
  }

  #kept(hashes: string, signatures: string): string {
    const members = [...this.#keptBeforeHashes];
    if (hashes !== '') members.push(hashes);
    members.push(...this.#keptBeforeSignatures);
    if (signatures !== '') members.push(signatures);
    members.push(...this.#keptAfterSignatures);
    return `{${members.join()}}`;
  }

  #runOf(key: string): string[] {
    if (key < 'hashes') return this.#keptBeforeHashes;
    return key < 'signatures' ? this.#keptBeforeSignatures : this.#keptAfterSignatures;
  }
}

/** A member in canonical JSON, `"key":value`; empty for one that is not there. */
export function memberText(key: string, value: JsonValue | undefined, strictness: NumberStrictness): string {
  return value === undefined ? '' : canonicalMember(key, value, strictness);
}
