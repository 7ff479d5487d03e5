/**
 * The conditions of push rules, compiled. What a client stored is not trusted to make sense: a condition that is unknown or
 * malformed never holds, and with it its rule never matches.
 * https://spec.matrix.org/v1.19/client-server-api/#conditions-1
 */
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { type EventFacts, parsePropertyPath } from './event-facts.ts';
import { compileGlob, type Glob } from './glob.ts';

/** What conditions ask about the room at the event, and about the user whose rules they are. */
export interface RuleSurroundings {
  /** Joined members of the room just before the event. */
  memberCount(): number;
  /** Whether the sender of the event has the power to notify everybody under a key. */
  senderMayNotify(key: string): boolean;
  /** The user's display name in the room just before the event, compiled; undefined for somebody without one. */
  displayName(): Glob | undefined;
  /** Whether the user follows a thread of the room. */
  isSubscribedTo(threadRoot: string): boolean;
}

/** Whether a condition holds, the number of members aside. */
export type Test = (facts: EventFacts, surroundings: RuleSurroundings) => boolean;

/** Whether a condition on the number of members holds. */
export type CountTest = (members: number) => boolean;

/** A condition, in the form in which rules are tried. */
export type Condition =
  | { readonly kind: 'test'; readonly test: Test }
  /** The type of the event has to be this, in lower case. Apart, so that most rules need not be tried on most events. */
  | { readonly kind: 'type'; readonly type: string }
  /** Apart, because most often the outcome is the same whatever the number is, and it need not be found out. */
  | { readonly kind: 'memberCount'; readonly test: CountTest };

const BODY = parsePropertyPath('content.body');

/** Compiles a condition; undefined for one that never holds. */
export function compileCondition(condition: unknown): Condition | undefined {
  if (typeof condition !== 'object' || condition === null) return undefined;
  const { kind, key, pattern, value, is, subscribed } = condition as JsonObject;
  switch (kind) {
    case 'event_match':
      return typeof key === 'string' && typeof pattern === 'string' ? eventMatch(key, pattern) : undefined;
    case 'event_property_is':
      return typeof key === 'string' && isSimple(value) ? propertyIs(key, value) : undefined;
    case 'event_property_contains':
      return typeof key === 'string' && isSimple(value) ? propertyContains(key, value) : undefined;
    case 'contains_display_name':
      return { kind: 'test', test: containsDisplayName };
    case 'room_member_count':
      return typeof is === 'string' ? memberCount(is) : undefined;
    case 'sender_notification_permission':
      if (typeof key !== 'string') return undefined;
      return { kind: 'test', test: (_, surroundings) => surroundings.senderMayNotify(key) };
    case 'io.element.msc4306.thread_subscription':
      return typeof subscribed === 'boolean' ? followsThread(subscribed) : undefined;
    default:
      return undefined;
  }
}

/** Of events in threads: whether the user follows theirs. Source: MSC4306. */
function followsThread(subscribed: boolean): Condition {
  return {
    kind: 'test',
    test: ({ event: { relation } }, surroundings) =>
      relation?.type === 'm.thread' && surroundings.isSubscribedTo(relation.eventId) === subscribed,
  };
}

/** The condition of a `content` rule. */
export function bodyMatch(pattern: string): Condition {
  const glob = compileGlob(pattern);
  return {
    kind: 'test',
    test: (facts) => {
      const body = facts.lowered(BODY);
      return body !== undefined && glob.matchesWords(body);
    },
  };
}

function eventMatch(key: string, pattern: string): Condition {
  const path = parsePropertyPath(key);
  if (path.text === BODY.text) return bodyMatch(pattern);
  if (key === 'type' && !/[*?]/.test(pattern)) return { kind: 'type', type: pattern.toLowerCase() };
  const glob = compileGlob(pattern);
  return {
    kind: 'test',
    test: (facts) => {
      const text = facts.lowered(path);
      return text !== undefined && glob.matchesAll(text);
    },
  };
}

type Simple = string | number | boolean | null;

/** Values that can be compared: of the numbers, those that canonical JSON has. */
function isSimple(value: JsonValue | undefined): value is Simple {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  return typeof value === 'string' || typeof value === 'boolean' || value === null;
}

function propertyIs(key: string, expected: Simple): Condition {
  const path = parsePropertyPath(key);
  return { kind: 'test', test: (facts) => facts.value(path) === expected };
}

function propertyContains(key: string, expected: Simple): Condition {
  const path = parsePropertyPath(key);
  return {
    kind: 'test',
    test: (facts) => {
      const values = facts.value(path);
      return Array.isArray(values) && values.includes(expected);
    },
  };
}

function containsDisplayName(facts: EventFacts, surroundings: RuleSurroundings): boolean {
  const body = facts.lowered(BODY);
  if (body === undefined) return false;
  return surroundings.displayName()?.matchesWords(body) === true;
}

const MEMBER_COUNT = /^(==|<=|>=|<|>)?(\d{1,15})$/;

function memberCount(is: string): Condition | undefined {
  const match = MEMBER_COUNT.exec(is);
  if (match === null) return undefined;
  const bound = Number(match[2]);
  const tests: Readonly<Record<string, CountTest>> = {
    '<': (members) => members < bound,
    '>': (members) => members > bound,
    '<=': (members) => members <= bound,
    '>=': (members) => members >= bound,
  };
  return { kind: 'memberCount', test: tests[match[1] ?? '=='] ?? ((members) => members === bound) };
}
