import type { Room } from '#projections/rooms/queries.ts';
import type { StateRef } from '#projections/rooms/state/index.ts';
import { presentState } from '#src/rooms/as-of.ts';
import { type DataFolder, readDataFolder, roomNamed } from '../../rooms/data-folder.ts';
import { stateAround, stateAtPosition, stateAtTime, stateEvents } from '../../rooms/stored-state.ts';
import { quotedText } from '../../rooms/trace.ts';
import { defineCommand, type ExitStatus, SUCCESS, UsageError } from '../command.ts';
import { jsonArray } from '../json-array.ts';
import { count } from '../progress.ts';
import { READ_OPTIONS, recordRead } from '../record-read.ts';
import { parsePosition, parseTime, sayingWhatIsNotThere } from '../stored-rooms.ts';

/** `stele rooms state` */
export const command = defineCommand({
  name: 'rooms state',
  summary: 'Show the state of a room, now or at any event or time',
  usage: 'ROOM',
  description: `
ROOM is a room id, or an alias of this server. Prints a line for each key of the state: type, state key, event id and sender;
with --json a JSON array of {type, state_key, event_id, sender, origin_server_ts, content}, which needs a reason and a case, as it
shows what people wrote. They are on record. Works while the server runs.

--at-time TIME takes an ISO 8601 time or milliseconds since the epoch, and gives the state that this server showed then, by
its own clock.`,
  examples: [
    "rooms state '#general:example.org'",
    "rooms state '!room_id' --at '$event_id' --before",
    "rooms state '!room_id' --at-time 2026-07-04T12:00Z --type m.room.member",
    "rooms state '!room_id' --json --reason 'complaint' --case C-17",
  ],
  options: {
    ...READ_OPTIONS,
    at: { type: 'string', value: 'EVENT', description: 'The state after this event, where it stands in the graph' },
    before: { type: 'boolean', description: 'With --at: the state before the event' },
    'at-time': { type: 'string', value: 'TIME', description: 'The state that this server showed at this time' },
    'at-position': { type: 'string', value: 'N', description: 'The state that it showed after record N of its log' },
    type: {
      type: 'string',
      value: 'TYPE',
      description: 'Only this type: m.room.member, m.room.power_levels, m.policy.rule.*, …',
    },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: ({ options, positionals, loadConfig, json, print, say }) =>
    sayingWhatIsNotThere(say, async (): Promise<ExitStatus> => {
      const { at, before, type, 'at-time': atTime, 'at-position': atPosition } = options;
      if ([at, atTime, atPosition].filter((moment) => moment !== undefined).length > 1)
        throw new UsageError('--at, --at-time and --at-position are different moments');
      if (before && at === undefined) throw new UsageError('--before goes with --at EVENT');
      const timeMs = atTime === undefined ? undefined : parseTime(atTime);
      const position = atPosition === undefined ? undefined : parsePosition(atPosition);
      const [name = ''] = positionals;
      const config = await loadConfig();
      const target = { kind: 'room', id: name } as const;
      const action = json ? 'content.read' : 'room.read';
      await recordRead(config, { action, target, command: 'rooms state', options });
      return readDataFolder(config.data_dir, async (folder): Promise<ExitStatus> => {
        const room = roomNamed(folder.reader, name);
        const state = await stateAsked(folder, room, { at, before, timeMs, position });
        const events = stateEvents(folder.reader, room, state, type);
        if (json) {
          for (const line of jsonArray(events)) print(line);
          return SUCCESS;
        }
        let total = 0;
        for (const { type, state_key, event_id, sender } of events) {
          print(`${quotedText(type)} "${quotedText(state_key)}"  ${event_id}  ${quotedText(sender)}`);
          total += 1;
        }
        say(`${count(total)} keys.`);
        return SUCCESS;
      });
    }),
});

async function stateAsked(
  folder: DataFolder,
  room: Room,
  moment: {
    readonly at: string | undefined;
    readonly before: boolean;
    readonly timeMs: number | undefined;
    readonly position: number | undefined;
  },
): Promise<StateRef> {
  const { at, before, timeMs, position } = moment;
  if (at !== undefined) return stateAround(folder.reader, room, at, before ? 'before' : 'after');
  if (position !== undefined) return stateAtPosition(folder.reader, room, position);
  return timeMs === undefined ? presentState(folder.reader, room) : stateAtTime(folder, room, timeMs);
}
