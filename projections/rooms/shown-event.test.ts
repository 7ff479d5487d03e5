import { expect, test } from 'vitest';
import type { Reader } from '#projections/engine/reader.ts';
import type { LogRecord } from '#streams/event-log.ts';
import { type EventRow, eventRow } from './event-row.ts';
import { pduRecord } from './pdu-record.ts';
import { shownEvent } from './shown-event.ts';
import { events } from './tables.ts';

const POSITION = 7;

const ROW: EventRow = {
  room: 1,
  eventId: '$event',
  type: 'm.room.message',
  sender: '@alice:example.org',
  originServerTs: 1,
  depth: 2,
  contentJson: '{"body":"text"}',
  stateVersion: 5,
  hasUrl: false,
};

/** The record as it comes from the log, not from who has just made it. */
function record(): LogRecord {
  const pdu = { type: ROW.type, sender: ROW.sender, depth: 2, origin_server_ts: 1, content: { body: 'text' } };
  const meta = { eventId: ROW.eventId, roomId: '!room', roomVersion: '12', disposition: 'accepted' } as const;
  const skeleton = JSON.stringify({
    ...pdu,
    content: {},
    prev_events: [],
    auth_events: [],
    hashes: {},
    signatures: {},
  });
  const { kind, version, sections } = pduRecord(Buffer.alloc(16), meta, pdu as never, skeleton, {
    content: pdu.content,
  });
  return {
    position: POSITION,
    stream: 'room-1',
    revision: 3,
    kind,
    version,
    recordedAtMs: 0,
    id: Buffer.alloc(16),
    sections,
  };
}

/** A reader whose one event can change, and how often it was asked for it. */
function readerOf(row: EventRow) {
  const counted = { row, frontier: POSITION, reads: 0 };
  const reader = {
    get frontier() {
      return counted.frontier;
    },
    get(table: unknown, [position]: readonly [number]) {
      if (table !== events || position !== POSITION) return undefined;
      counted.reads += 1;
      const stored = Buffer.from(eventRow.encode(counted.row));
      return eventRow.decode(stored, stored.length);
    },
  } as unknown as Reader;
  return { reader, counted };
}

test('an event is looked up once for all who ask at one moment', () => {
  const { reader, counted } = readerOf(ROW);
  const asked = record();
  const first = shownEvent(reader, asked);
  expect(first).toEqual({ event: { position: POSITION, ...ROW }, isNew: true });
  expect(shownEvent(reader, asked)).toBe(first);
  expect(counted.reads).toBe(1);
});

test('at a later moment, to another reader and for another record it is looked up again', () => {
  const { reader, counted } = readerOf(ROW);
  const asked = record();
  shownEvent(reader, asked);
  counted.row = { ...ROW, contentJson: '{}', redactedBy: 9 };
  counted.frontier = 9;
  expect(shownEvent(reader, asked)?.event).toMatchObject({ contentJson: '{}', redactedBy: 9 });
  const other = readerOf({ ...ROW, contentJson: '{"body":"elsewhere"}' });
  expect(shownEvent(other.reader, asked)?.event.contentJson).toBe('{"body":"elsewhere"}');
  expect(shownEvent(reader, record())?.event.contentJson).toBe('{}');
  expect(shownEvent(reader, { ...record(), kind: 'other' })).toBeUndefined();
});
