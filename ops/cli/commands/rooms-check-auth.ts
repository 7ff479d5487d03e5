import { checkAuthOfAll } from '../../rooms/check-auth.ts';
import { defineCommand, SUCCESS } from '../command.ts';
import { jsonArray } from '../json-array.ts';
import { PDUS_OPTION, ROOM_VERSION_OPTION, readRoom, sayingWhatIsWrong } from '../room-files.ts';

/** `stele rooms check-auth` */
export const command = defineCommand({
  name: 'rooms check-auth',
  summary: 'Hold events from files against the authorisation rules, offline',
  usage: '--room-version N --pdus FILE…',
  description: `
Prints a JSON array of {event_id, allowed, rule, reason}, each event after those that it follows and cites. Each is judged
against the state that its own auth_events make up; an event that cites a rejected one is rejected. The rule is its number in
the room version's "Authorisation rules"; rule and reason are null for what is allowed. The form of events, their hashes and
signatures and the state before them are not part of it.

A FILE is a JSON array of PDUs as servers send them. An event_id that a PDU carries is taken as it is, else it is computed.
Needs no server, no data folder and no configuration. Exit status 2 if the files make no sense.`,
  examples: ['rooms check-auth --room-version 11 --pdus room.json'],
  options: { ...ROOM_VERSION_OPTION, ...PDUS_OPTION },
  usesConfig: false,
  printsData: true,
  run: ({ options, print, say }) =>
    sayingWhatIsWrong(say, async () => {
      const { rules, events } = await readRoom(options);
      for (const line of jsonArray(checkAuthOfAll(events, rules))) print(line);
      return SUCCESS;
    }),
});
