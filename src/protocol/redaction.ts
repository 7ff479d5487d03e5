import { serverNameOf } from './identifiers.ts';
import { isJsonObject, type MutableJsonObject, setOwnValue } from './json-object.ts';
import type { JsonObject, JsonValue, Pdu } from './pdu.ts';
import type { PowerLevels } from './power-levels.ts';
import type { KeptPart, RoomVersionRules } from './room-version.ts';

/** An event in two parts that are stored and erased apart. */
export interface SplitPdu {
  /** Exactly what redaction keeps: enough for hashing, signatures, authorisation and the graph. */
  readonly skeleton: JsonObject;
  /** Exactly what redaction removes. `{}` if that is nothing. */
  readonly stripped: JsonObject;
}

/**
 * An event as the redaction algorithm leaves it. Values that stay are shared with the original, not copied.
 * Source: the room version's "Redactions".
 */
export function redact(pdu: Pdu, rules: RoomVersionRules): Pdu {
  return keepTopLevel(pdu, rules) as Pdu;
}

/**
 * Splits an event into what redaction keeps and what it removes. {@link joinPdu} puts the parts together again.
 * Source: the room version's "Redactions".
 */
export function splitPdu(pdu: Pdu, rules: RoomVersionRules): SplitPdu {
  const kept = rules.redaction.keptKeys;
  const stripped: MutableJsonObject = {};
  for (const key of Object.keys(pdu)) {
    if (!kept.includes(key)) setOwnValue(stripped, key, pdu[key]);
  }
  const lostContent = withoutKept(pdu.content, keptContentOf(pdu, rules));
  if (lostContent !== undefined) stripped.content = lostContent;
  return { skeleton: keepTopLevel(pdu, rules), stripped };
}

/** Puts together what {@link splitPdu} took apart. */
export function joinPdu(skeleton: JsonObject, stripped: JsonObject): Pdu {
  return merge(skeleton, stripped) as Pdu;
}

/** What redaction keeps of an event's content. Source: the room version's "Redactions". */
export function redactContent(
  pdu: { readonly type: string; readonly content: JsonObject },
  rules: RoomVersionRules,
): JsonObject {
  return keepPart(pdu.content, keptContentOf(pdu, rules)) as JsonObject;
}

/**
 * The id of the event that a redaction names, or `undefined` if the event names none.
 * Source: rooms/v11, "Moving the `redacts` property of `m.room.redaction` events to a `content` property".
 */
export function redactedEventIdOf(pdu: Pdu, rules: RoomVersionRules): string | undefined {
  if (pdu.type !== 'm.room.redaction') return undefined;
  const target = rules.redaction.redactsInContent ? pdu.content.redacts : pdu.redacts;
  return typeof target === 'string' ? target : undefined;
}

/**
 * Whether a redaction takes effect once both events are known: who sent it has the redact level, or is on the server of
 * who sent the event. Source: rooms/v3, "Handling redactions".
 */
export function redactionTakesEffect(redactionSender: string, targetSender: string, levels: PowerLevels): boolean {
  return (
    levels.powerLevelOf(redactionSender) >= levels.redact ||
    serverNameOf(redactionSender) === serverNameOf(targetSender)
  );
}

const KEEP_NOTHING: KeptPart = {};

function keptContentOf(pdu: { readonly type: string }, rules: RoomVersionRules): KeptPart {
  return rules.redaction.keptContent.get(pdu.type) ?? KEEP_NOTHING;
}

function keepTopLevel(pdu: Pdu, rules: RoomVersionRules): JsonObject {
  const skeleton: MutableJsonObject = {};
  for (const key of rules.redaction.keptKeys) {
    const value = pdu[key];
    if (value === undefined) continue;
    const kept = key === 'content' ? keepPart(value, keptContentOf(pdu, rules)) : value;
    if (kept !== undefined) skeleton[key] = kept;
  }
  return skeleton;
}

/** What stays of a value, or `undefined` if nothing does. The depth of the walk is that of the room version's table. */
function keepPart(value: JsonValue, part: KeptPart): JsonValue | undefined {
  if (part === true) return value;
  if (!isJsonObject(value)) return undefined;
  const kept: MutableJsonObject = {};
  for (const key of Object.keys(part)) {
    const member = value[key];
    const memberPart = part[key];
    if (member === undefined || memberPart === undefined) continue;
    const keptMember = keepPart(member, memberPart);
    if (keptMember !== undefined) kept[key] = keptMember;
  }
  return kept;
}

/** What {@link keepPart} leaves out, or `undefined` if that is nothing. */
function withoutKept(value: JsonValue | undefined, part: KeptPart): JsonValue | undefined {
  if (part === true || value === undefined) return undefined;
  if (!isJsonObject(value)) return value;
  const lost: MutableJsonObject = {};
  let isEmpty = true;
  for (const key of Object.keys(value)) {
    const member = value[key];
    const memberPart = Object.hasOwn(part, key) ? part[key] : undefined;
    const lostMember = memberPart === undefined ? member : withoutKept(member, memberPart);
    if (lostMember === undefined) continue;
    setOwnValue(lost, key, lostMember);
    isEmpty = false;
  }
  return isEmpty ? undefined : lost;
}

/** Joins two objects; where both hold an object under a key, those are joined. Splitting never puts one value in both. */
function merge(left: JsonObject, right: JsonObject): JsonObject {
  const joined: MutableJsonObject = { ...left };
  for (const key of Object.keys(right)) {
    const ours = Object.hasOwn(left, key) ? left[key] : undefined;
    const theirs = right[key];
    setOwnValue(joined, key, isJsonObject(ours) && isJsonObject(theirs) ? merge(ours, theirs) : theirs);
  }
  return joined;
}
