/**
 * The one place that says whether something may go. Pure: what it needs is passed in, and the same input gives the same answer.
 * README.md beside this file is the table of its rules, in their order.
 */
import type { HoldScope, ItemClass, Lifetime, RetentionPolicy } from '#projections/compliance/records.ts';

/** Something that may go: sections of one record, and the file that they are about. */
export interface Item {
  readonly position: number;
  /** The sections that would be destroyed. */
  readonly sections: readonly number[];
  readonly class: ItemClass;
  /** Whose it is, or whom it is about. */
  readonly userIds: readonly string[];
  readonly roomId?: string;
  readonly mediaId?: string;
  /** Of a media: the rooms on hold in which events name it. */
  readonly namedIn?: readonly string[];
  /** Milliseconds since the epoch, by this server's clock. */
  readonly recordedAtMs: number;
  /** Why the server cannot do without it; a sentence for the certificate. */
  readonly neededFor?: string;
  /** Its keys are destroyed already. */
  readonly isGone?: boolean;
}

/** What asks for something to go. */
export type Request =
  | { readonly cause: 'erasure'; readonly userId: string }
  | { readonly cause: 'retention' }
  | { readonly cause: 'redaction'; readonly redactedAtMs: number }
  | { readonly cause: 'delivered'; readonly deliveredAtMs: number }
  | {
      readonly cause:
        | 'former_password'
        | 'media_removal'
        | 'unused_media'
        | 'room_purge'
        | 'history_purge'
        | 'key_backup';
    };

/** A hold that stands. */
export interface StandingHold {
  readonly id: string;
  readonly scope: HoldScope;
}

/** The maximum that a room set for itself, if any. Milliseconds. Source: MSC1763. */
export interface RoomRetention {
  readonly minMs: number | null;
  readonly maxMs: number | null;
}

/** What decides. */
export interface Circumstances {
  readonly policy: RetentionPolicy;
  /** The policy of the item's room, where it is in one. */
  readonly room?: RoomRetention | undefined;
  /** All that stand. */
  readonly holds: readonly StandingHold[];
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** The rules, in the order in which they are asked. */
export const RULES = [
  'gone',
  'hold',
  'needed',
  'minimum',
  'erasure',
  'redaction_window',
  'maximum',
  'not_due',
  'request',
] as const;
export type Rule = (typeof RULES)[number];

/** What may happen to something, and why. */
export interface Verdict {
  /** `keep` for now or for good; `defer`: it goes when the holds are released; `gone` needs nothing more. */
  readonly outcome: 'destroy' | 'keep' | 'defer' | 'gone';
  readonly rule: Rule;
  /** A sentence. */
  readonly why: string;
  /** The holds that cover it. */
  readonly holdIds: readonly string[];
  /** From when on the answer is another, by the policy: milliseconds since the epoch. */
  readonly untilMs?: number;
}

/** Whether a hold covers an item: all of its conditions are met. */
export function covers({ userId, roomId, fromMs, toMs, mediaId }: HoldScope, item: Item): boolean {
  if (userId !== undefined && !item.userIds.includes(userId)) return false;
  if (roomId !== undefined && item.roomId !== roomId && item.namedIn?.includes(roomId) !== true) return false;
  if (mediaId !== undefined && item.mediaId !== mediaId) return false;
  if (fromMs !== undefined && item.recordedAtMs < fromMs) return false;
  return toMs === undefined || item.recordedAtMs < toMs;
}

/** The verdict on an item that holds cover; undefined where none does. */
export function onHold(item: Item, holds: readonly StandingHold[]): Verdict | undefined {
  const holdIds = holds.filter(({ scope }) => covers(scope, item)).map(({ id }) => id);
  if (holdIds.length === 0) return undefined;
  return { ...verdict('defer', 'hold', `It is on legal hold (${holdIds.join(', ')}).`), holdIds };
}

/** What may happen to an item for a request. */
export function decide(item: Item, request: Request, circumstances: Circumstances): Verdict {
  const { policy, holds, nowMs } = circumstances;
  if (item.isGone === true) return verdict('gone', 'gone', 'Its keys are destroyed already.');
  const held = onHold(item, holds);
  if (held !== undefined) return held;
  // Logs of access and evidence are kept against those whom they are about, and have an end all the same.
  const expires = request.cause === 'retention' && (item.class === 'access_logs' || item.class === 'evidence');
  if (item.neededFor !== undefined && !expires) return verdict('keep', 'needed', item.neededFor);
  const lifetime = lifetimeOf(item, circumstances);
  const minUntilMs = item.recordedAtMs + lifetime.minMs;
  const mustStay = nowMs < minUntilMs && (request.cause !== 'erasure' || lifetime.legalBasis !== null);
  // What a device has got is a copy of what its sender has: a minimum of history says nothing about it.
  if (mustStay && request.cause !== 'delivered') {
    const basis = lifetime.legalBasis === null ? '' : ` (${lifetime.legalBasis})`;
    const why = `The policy keeps ${item.class} for at least ${days(lifetime.minMs)}${basis}.`;
    return { ...verdict('keep', 'minimum', why), untilMs: minUntilMs };
  }
  switch (request.cause) {
    case 'erasure':
      return item.userIds.includes(request.userId)
        ? verdict('destroy', 'erasure', 'Its subject asked for erasure.')
        : verdict('keep', 'not_due', 'It is not of the person who asked for erasure.');
    case 'retention':
      return byAge(item, lifetime, nowMs);
    case 'redaction':
      return byWindow(request.redactedAtMs, policy.redactedMs, nowMs);
    case 'delivered':
      return verdict('destroy', 'request', 'The device has got it.');
    case 'former_password':
      return verdict('destroy', 'request', 'The password is in force no more.');
    case 'unused_media':
      return verdict('destroy', 'request', 'Nothing that may be shown names it.');
    default:
      return verdict('destroy', 'request', 'It was removed.');
  }
}

/** How long an item is kept: by its class, and by its room within the bounds that the server sets. */
export function lifetimeOf(item: Pick<Item, 'class'>, { policy, room }: Circumstances): Lifetime {
  const lifetime = policy.classes[item.class];
  if (item.class !== 'messages' || room === undefined) return lifetime;
  const { minMs: lowest, maxMs: highest } = policy.roomBounds;
  const wanted = room.maxMs === null ? lifetime.maxMs : Math.max(room.maxMs, lowest);
  const maxMs = highest === null ? wanted : Math.min(wanted ?? highest, highest);
  const minMs = Math.max(lifetime.minMs, Math.min(room.minMs ?? 0, maxMs ?? Number.POSITIVE_INFINITY));
  return { ...lifetime, minMs, maxMs };
}

function byAge(item: Item, { maxMs }: Lifetime, nowMs: number): Verdict {
  if (maxMs === null) return verdict('keep', 'not_due', `The policy keeps ${item.class} without end.`);
  const dueMs = item.recordedAtMs + maxMs;
  if (nowMs < dueMs) {
    return { ...verdict('keep', 'not_due', `The policy keeps ${item.class} for ${days(maxMs)}.`), untilMs: dueMs };
  }
  return verdict('destroy', 'maximum', `The policy keeps ${item.class} for no more than ${days(maxMs)}.`);
}

function byWindow(redactedAtMs: number, windowMs: number | null, nowMs: number): Verdict {
  if (windowMs === null) return verdict('keep', 'not_due', 'The policy keeps what redactions took away.');
  const dueMs = redactedAtMs + windowMs;
  if (nowMs < dueMs) {
    const why = `What a redaction took away is kept for ${days(windowMs)}.`;
    return { ...verdict('keep', 'not_due', why), untilMs: dueMs };
  }
  return verdict('destroy', 'redaction_window', `It was redacted more than ${days(windowMs)} ago.`);
}

function verdict(outcome: Verdict['outcome'], rule: Rule, why: string): Verdict {
  return { outcome, rule, why, holdIds: [] };
}

const MS_PER_DAY = 86_400_000;
const MS_PER_MINUTE = 60_000;

function days(ms: number): string {
  const count = ms / MS_PER_DAY;
  if (Number.isInteger(count)) return count === 1 ? 'a day' : `${count} days`;
  return `${Math.round(ms / MS_PER_MINUTE)} minutes`;
}
