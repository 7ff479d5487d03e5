import { readDataFolder, roomNamed } from '../../rooms/data-folder.ts';
import { type GraphFormat, graphEvents, writeGraph } from '../../rooms/room-graph.ts';
import { defineCommand, type ExitStatus, SUCCESS, UsageError } from '../command.ts';
import { startProgress } from '../progress.ts';
import { READ_OPTIONS, recordRead } from '../record-read.ts';
import { sayingWhatIsNotThere } from '../stored-rooms.ts';

const FORMATS: readonly GraphFormat[] = ['dot', 'graphml', 'ndjson'];

/** `stele rooms graph` */
export const command = defineCommand({
  name: 'rooms graph',
  summary: 'Write the event graph of a room, for programs that draw or analyse graphs',
  usage: 'ROOM',
  description: `
ROOM is a room id, or an alias of this server. Writes every event of the room that the server has, in the order in which it got
them: accepted, soft-failed, rejected, outliers. Edges lead to the events that an event follows (prev_events) and to those that
authorise it (auth_events; dotted in dot). dot is for Graphviz ('| dot -Tsvg'), graphml for Gephi, yEd and NetworkX, ndjson one
JSON object an event. Works while the server runs.`,
  examples: ["rooms graph '!room_id' | dot -Tsvg > room.svg"],
  options: {
    ...READ_OPTIONS,
    format: {
      type: 'string',
      value: 'FORMAT',
      description: 'dot, graphml or ndjson',
      defaultText: 'dot, with --json ndjson',
    },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: ({ options, positionals, loadConfig, json, print, say, signal }) =>
    sayingWhatIsNotThere(say, async (): Promise<ExitStatus> => {
      const format = formatOf(options.format, json);
      const [name = ''] = positionals;
      const config = await loadConfig();
      const target = { kind: 'room', id: name } as const;
      await recordRead(config, { action: 'room.read', target, command: 'rooms graph', options });
      return readDataFolder(config.data_dir, async (folder): Promise<ExitStatus> => {
        const room = roomNamed(folder.reader, name);
        const progress = startProgress({ label: 'Writing the graph', unit: 'events' });
        try {
          let events = 0;
          const counted = async function* () {
            for await (const event of graphEvents(folder, room, signal)) {
              events += 1;
              progress.update(events);
              yield event;
            }
          };
          for await (const line of writeGraph(format, room, folder.reader, counted())) print(line);
        } finally {
          progress.finish();
        }
        return SUCCESS;
      });
    }),
});

function formatOf(asked: string | undefined, json: boolean): GraphFormat {
  if (asked === undefined) return json ? 'ndjson' : 'dot';
  const format = FORMATS.find((known) => known === asked);
  if (format === undefined) throw new UsageError(`--format takes ${FORMATS.join(', ')}, not ${asked}`);
  if (json && format !== 'ndjson') throw new UsageError(`--json is --format ndjson, not ${format}`);
  return format;
}
