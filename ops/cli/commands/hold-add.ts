import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { timeOption } from '../time-option.ts';

/** `stele hold add` */
export const command = defineCommand({
  name: 'hold add',
  summary: 'Set a legal hold: what it covers is not destroyed, whoever asks',
  usage: '--case CASE --reason TEXT [--user USER_ID] [--room ROOM_ID] [--media MEDIA_ID] [--from TIME] [--to TIME]',
  description: `
What all of the given conditions are true of is kept until the hold is released: by retention, clean-up after redactions, removal of
rooms and media, and erasure, which is put off and carried out when the hold is released. The people it is about are told nothing.
Prints the id of the hold. Works whether the server runs or not, as the system user that it runs as.`,
  examples: [
    "hold add --user @ann:example.org --case C-17 --reason 'lawsuit'",
    "hold add --room '!room:example.org' --from 2026-01-01 --to 2026-02-01 --case C-18 --reason 'inquiry'",
  ],
  options: {
    user: { type: 'string', value: 'USER_ID', description: 'What is of or about this user' },
    room: { type: 'string', value: 'ROOM_ID', description: 'What is in this room' },
    media: { type: 'string', value: 'MEDIA_ID', description: 'This media, the last part of mxc://server/MEDIA_ID' },
    from: { type: 'string', value: 'TIME', description: 'What came from this time on: 2026-01-31, 2026-01-31T12:00Z' },
    to: { type: 'string', value: 'TIME', description: 'What came before this time' },
    case: { type: 'string', value: 'CASE', description: 'The case that it is for' },
    reason: { type: 'string', value: 'TEXT', description: 'Why' },
  },
  printsData: true,
  run: async ({ options, loadConfig, json, print }) => {
    const { user, room, media, from, to, case: caseId, reason } = options;
    if (caseId === undefined || reason === undefined) throw new UsageError('a hold needs --case and --reason');
    const scope = {
      user_id: user,
      room_id: room,
      media_id: media,
      from_ms: timeOption('--from', from),
      to_ms: timeOption('--to', to),
    };
    const body = { scope, case_id: caseId, reason };
    const answer = await askServer<{ readonly hold_id: string }>(
      await loadConfig(),
      '/_stele/operator/holds/add',
      body,
    );
    print(json ? JSON.stringify(answer) : answer.hold_id);
    return SUCCESS;
  },
});
