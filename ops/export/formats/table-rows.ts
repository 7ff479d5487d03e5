/** The events of an export as rows of a table: what CSV and Parquet have in common. */
import { newTextOf, textOf } from '../describe-event.ts';
import { type Entry, relationIn } from '../event-index.ts';
import { mediaNamedIn } from '../media.ts';

/** A value in a table. */
export type Cell = string | number | boolean | null;

/** A column: its name, what it holds, and how it is had from an event. */
export interface Column {
  readonly name: string;
  readonly type: 'text' | 'integer' | 'boolean' | 'time';
  readonly of: (entry: Entry, sha256OfMedia: ReadonlyMap<string, string>) => Cell;
}

/** The columns, in order. `time` is milliseconds since the epoch. */
export const COLUMNS: readonly Column[] = [
  { name: 'position', type: 'integer', of: ({ line }) => line.position },
  { name: 'room_id', type: 'text', of: ({ line }) => line.room_id },
  { name: 'event_id', type: 'text', of: ({ line }) => line.event_id },
  { name: 'type', type: 'text', of: ({ line }) => line.pdu.type },
  { name: 'state_key', type: 'text', of: ({ line }) => line.pdu.state_key ?? null },
  { name: 'sender', type: 'text', of: ({ line }) => line.pdu.sender },
  { name: 'sender_name', type: 'text', of: ({ line }) => line.sender_name },
  { name: 'sent_at', type: 'time', of: ({ line }) => line.pdu.origin_server_ts },
  { name: 'recorded_at', type: 'time', of: ({ line }) => Date.parse(line.recorded_at) },
  { name: 'disposition', type: 'text', of: ({ line }) => line.disposition },
  { name: 'because', type: 'text', of: ({ line }) => line.because },
  { name: 'text', type: 'text', of: ({ line }) => textOf(line) },
  { name: 'relation', type: 'text', of: ({ line }) => relationIn(line.pdu.content).rel_type ?? null },
  { name: 'relates_to', type: 'text', of: ({ line }) => relationIn(line.pdu.content).event_id ?? null },
  { name: 'replies_to', type: 'text', of: ({ line }) => relationIn(line.pdu.content).inReplyTo ?? null },
  { name: 'edits', type: 'integer', of: ({ edits }) => edits.length },
  { name: 'last_text', type: 'text', of: ({ edits }) => ((last) => (last ? newTextOf(last) : null))(edits.at(-1)) },
  { name: 'redacted_by', type: 'text', of: ({ redactions }) => redactions[0]?.by ?? null },
  { name: 'redacted_at', type: 'time', of: ({ redactions }) => redactions[0]?.sent_at ?? null },
  { name: 'redaction', type: 'text', of: ({ redactions }) => redactions[0]?.event_id ?? null },
  { name: 'is_encrypted', type: 'boolean', of: ({ line }) => line.pdu.type === 'm.room.encrypted' },
  { name: 'is_destroyed', type: 'boolean', of: ({ line }) => line.is_destroyed },
  {
    name: 'media_sha256',
    type: 'text',
    of: ({ line }, sha256OfMedia) => {
      const found = mediaNamedIn(line.pdu.content).flatMap((mxc) => sha256OfMedia.get(mxc) ?? []);
      return found.length === 0 ? null : found.join(' ');
    },
  },
];
