import { eventById, roomById } from '#projections/rooms/queries.ts';
import { audienceOf } from '#src/rooms/audience.ts';
import { NotOnThisServer, readDataFolder } from '../../rooms/data-folder.ts';
import { quotedText } from '../../rooms/trace.ts';
import { AS_OF_OPTION, asOfPosition } from '../as-of-option.ts';
import { defineCommand, type ExitStatus, SUCCESS } from '../command.ts';
import { count } from '../progress.ts';
import { READ_OPTIONS, recordRead } from '../record-read.ts';
import { sayingWhatIsNotThere } from '../stored-rooms.ts';

/** `stele rooms audience` */
export const command = defineCommand({
  name: 'rooms audience',
  summary: 'Show who could have seen an event',
  usage: 'EVENT_ID',
  description: `
By the room's history visibility when the event was sent, and by everybody's membership then and since: a line for each user, with
their membership at the event, and since when they could see it. It says who was allowed to see it, not who looked; and what
other servers did with it nobody here knows. With --as-of, who could have seen it by then. Works while the server runs.`,
  examples: ["rooms audience '$event_id' --reason 'asked by the works council' --case C-17"],
  options: { ...READ_OPTIONS, ...AS_OF_OPTION },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: ({ options, positionals, loadConfig, json, print, say }) =>
    sayingWhatIsNotThere(say, async (): Promise<ExitStatus> => {
      const [eventId = ''] = positionals;
      const config = await loadConfig();
      const target = { kind: 'event', id: eventId } as const;
      await recordRead(config, { action: 'content.visible_to', target, command: 'rooms audience', options });
      return readDataFolder(config.data_dir, async (folder): Promise<ExitStatus> => {
        const { reader } = folder;
        const event = eventById(reader, eventId);
        const room = event && roomById(reader, event.room);
        const until = room && (await asOfPosition(folder, room, options['as-of']));
        const audience = audienceOf(reader, eventId, until);
        if (audience === undefined)
          throw new NotOnThisServer(`There is no event ${eventId} on this server that its users were ever shown.`);
        if (json) {
          print(JSON.stringify(audience));
          return SUCCESS;
        }
        for (const { user_id, membership, since } of audience.users) {
          const when = since === 'sent' ? 'when it was sent' : `since ${new Date(since).toISOString()}`;
          print(`${quotedText(user_id)}  ${quotedText(membership)}  ${when}`);
        }
        say(
          `${count(audience.users.length)} users, where the history is ${audience.history_visibility}` +
            `${audience.anybody ? ': anybody else could see it too' : ''}.`,
        );
        return SUCCESS;
      });
    }),
});
