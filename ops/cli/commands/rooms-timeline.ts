import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventAt, type Room, timelineBackwards } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { eventAsOf } from '#src/rooms/as-of.ts';
import type { Position } from '#streams/event-log.ts';
import { readDataFolder, roomNamed } from '../../rooms/data-folder.ts';
import { quotedText } from '../../rooms/trace.ts';
import { AS_OF_OPTION, asOfPosition } from '../as-of-option.ts';
import { defineCommand, type ExitStatus, SUCCESS, UsageError } from '../command.ts';
import { count } from '../progress.ts';
import { READ_OPTIONS, recordRead } from '../record-read.ts';
import { sayingWhatIsNotThere } from '../stored-rooms.ts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 10_000;

/** `stele rooms timeline` */
export const command = defineCommand({
  name: 'rooms timeline',
  summary: 'Show what was said in a room, now or as it was shown at a moment',
  usage: 'ROOM --reason TEXT --case CASE',
  description: `
ROOM is a room id, or an alias of this server. Prints the last events of its timeline, the oldest first, in the order in which this
server showed them; with --as-of those that it had shown by then, and what was redacted only later as it was, as far as that was not
destroyed since. With --json a JSON object a line. It needs a reason and a case, which are on record. Works while the server runs.`,
  examples: [
    "rooms timeline '!room_id' --as-of 2026-07-04T12:00Z --reason 'complaint' --case C-17",
    "rooms timeline '!room_id' --as-of '$event_id' --limit 10 --reason 'complaint' --case C-17",
  ],
  options: {
    ...READ_OPTIONS,
    ...AS_OF_OPTION,
    limit: {
      type: 'string',
      value: 'N',
      description: `How many events, at most ${MAX_LIMIT}`,
      defaultText: String(DEFAULT_LIMIT),
    },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: ({ options, positionals, loadConfig, json, print, say }) =>
    sayingWhatIsNotThere(say, async (): Promise<ExitStatus> => {
      const [name = ''] = positionals;
      const limit = limitOf(options.limit);
      const config = await loadConfig();
      const target = { kind: 'room', id: name } as const;
      await recordRead(config, { action: 'content.read', target, command: 'rooms timeline', options });
      return readDataFolder(config.data_dir, async (folder): Promise<ExitStatus> => {
        const room = roomNamed(folder.reader, name);
        const until = await asOfPosition(folder, room, options['as-of']);
        const events = lastEvents(folder.reader, room, until, limit);
        for (const event of events) {
          const shown = until === undefined ? event : await eventAsOf(folder.log, event, until);
          print(json ? JSON.stringify(lineJson(shown)) : lineOf(shown));
        }
        say(`${count(events.length)} events.`);
        return SUCCESS;
      });
    }),
});

/** @throws {UsageError} */
function limitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : Number.NaN;
  if (limit <= MAX_LIMIT) return limit;
  throw new UsageError(`--limit takes a number from 1 to ${MAX_LIMIT}, not ${text}`);
}

/** The last events that were shown up to a record of the log, the oldest first. */
function lastEvents(reader: Reader, room: Room, until: Position | undefined, limit: number): Event[] {
  const events: Event[] = [];
  for (const { position } of timelineBackwards(reader, room.id, -1, until ?? reader.frontier)) {
    const event = eventAt(reader, position);
    if (event !== undefined) events.push(event);
    if (events.length === limit) break;
  }
  return events.reverse();
}

function lineJson({ eventId, type, stateKey, sender, originServerTs, contentJson, redactedBy, position }: Event) {
  return {
    event_id: eventId,
    position,
    type,
    ...(stateKey !== undefined && { state_key: stateKey }),
    sender,
    origin_server_ts: originServerTs,
    is_redacted: redactedBy !== undefined,
    content: parseJson(contentJson),
  };
}

function lineOf({ eventId, type, stateKey, sender, originServerTs, contentJson, redactedBy }: Event): string {
  const key = stateKey === undefined ? '' : ` "${quotedText(stateKey)}"`;
  const redacted = redactedBy === undefined ? '' : '  (redacted)';
  const at = new Date(originServerTs).toISOString();
  return `${at}  ${eventId}  ${quotedText(sender)}  ${quotedText(type)}${key}${redacted}  ${quotedText(contentJson)}`;
}
