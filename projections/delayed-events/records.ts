/**
 * Events that are to be sent later, in the stream of the user who sends them. Section 0 is msgpack; the content of the event
 * is section 1 of `delayed_event.scheduled`, as JSON text.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4140
 *
 * | kind | section 0 |
 * |---|---|
 * | `delayed_event.scheduled` | `[userId, delayId, roomId, type, stateKey or null, delayMs, startedAtMs, deviceKey, txnId or null]` |
 * | `delayed_event.restarted` | `[userId, delayId, startedAtMs]` |
 * | `delayed_event.ended` | `[userId, delayId, outcome]` |
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const DELAYED_EVENT_SCHEDULED = 'delayed_event.scheduled';
export const DELAYED_EVENT_RESTARTED = 'delayed_event.restarted';
export const DELAYED_EVENT_ENDED = 'delayed_event.ended';

/** An event that is to be sent later. */
export interface DelayedEvent {
  readonly userId: string;
  /** Names it; nobody can guess it. */
  readonly delayId: string;
  readonly roomId: string;
  readonly type: string;
  /** Undefined for a message event. */
  readonly stateKey: string | undefined;
  readonly delayMs: number;
  /** When the delay began, in milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Whose transactions it is of. */
  readonly deviceKey: string;
  /** Undefined for a state event. */
  readonly txnId: string | undefined;
  readonly contentJson: string;
}

/** Why a delayed event is one no more. */
export type DelayOutcome = 'sent' | 'cancelled' | 'superseded' | 'refused';

type Scheduled = [
  userId: string,
  delayId: string,
  roomId: string,
  type: string,
  stateKey: string | null,
  delayMs: number,
  startedAtMs: number,
  deviceKey: string,
  txnId: string | null,
];

/** What a record of delayed events says. */
export type DelayedEventChange =
  | { readonly kind: 'scheduled'; readonly event: DelayedEvent }
  | { readonly kind: 'restarted'; readonly userId: string; readonly delayId: string; readonly startedAtMs: number }
  | { readonly kind: 'ended'; readonly userId: string; readonly delayId: string };

const packr = new Packr({ useRecords: false });
const decoder = new TextDecoder();

export function scheduledRecord(id: Uint8Array, event: DelayedEvent): RecordDraft {
  const { userId, delayId, roomId, type, stateKey = null, delayMs, startedAtMs, deviceKey, txnId = null } = event;
  const head: Scheduled = [userId, delayId, roomId, type, stateKey, delayMs, startedAtMs, deviceKey, txnId];
  return draft(id, DELAYED_EVENT_SCHEDULED, [packr.pack(head), Buffer.from(event.contentJson, 'utf8')]);
}

export function restartedRecord(id: Uint8Array, { userId, delayId, startedAtMs }: DelayedEvent): RecordDraft {
  return draft(id, DELAYED_EVENT_RESTARTED, [packr.pack([userId, delayId, startedAtMs])]);
}

export function endedRecord(id: Uint8Array, { userId, delayId }: DelayedEvent, outcome: DelayOutcome): RecordDraft {
  return draft(id, DELAYED_EVENT_ENDED, [packr.pack([userId, delayId, outcome])]);
}

/** What a record says; undefined for other kinds, and where a key was destroyed: an event without its content is not sent. */
export function readDelayedEventRecord(record: LogRecord): DelayedEventChange | undefined {
  const [head, content] = record.sections;
  switch (record.kind) {
    case DELAYED_EVENT_SCHEDULED: {
      if (!head || !content) return undefined;
      const [userId, delayId, roomId, type, stateKey, delayMs, startedAtMs, deviceKey, txnId] = packr.unpack(
        head,
      ) as Scheduled;
      const event: DelayedEvent = {
        userId,
        delayId,
        roomId,
        type,
        stateKey: stateKey ?? undefined,
        delayMs,
        startedAtMs,
        deviceKey,
        txnId: txnId ?? undefined,
        contentJson: decoder.decode(content),
      };
      return { kind: 'scheduled', event };
    }
    case DELAYED_EVENT_RESTARTED: {
      if (!head) return undefined;
      const [userId, delayId, startedAtMs] = packr.unpack(head) as [string, string, number];
      return { kind: 'restarted', userId, delayId, startedAtMs };
    }
    case DELAYED_EVENT_ENDED: {
      if (!head) return undefined;
      const [userId, delayId] = packr.unpack(head) as [string, string, string];
      return { kind: 'ended', userId, delayId };
    }
    default:
      return undefined;
  }
}

function draft(
  id: Uint8Array,
  kind: 'delayed_event.scheduled' | 'delayed_event.restarted' | 'delayed_event.ended',
  sections: readonly Uint8Array[],
): RecordDraft {
  return { id, kind, version: recordKinds[kind].version, sections: [...sections] };
}
