import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { durationOption } from '../time-option.ts';

const DEFAULT_LIFETIME = '8h';

interface TokenJson {
  readonly token: string;
  readonly token_id: string;
  readonly expires_ts: number;
}

/** `stele tokens create USER ROLE` */
export const command = defineCommand({
  name: 'tokens create',
  summary: 'Make an access token for one role, one reason and a limited time',
  usage: 'USER_ID ROLE',
  description: `
USER_ID has to have the role. Whatever is done with the token is on record with its reason and case, so tools that cannot say why they
read something can be given one. Prints the token, which is not shown again.`,
  examples: ["tokens create @admin:example.org admin --reason 'spam in March' --case C-17 --lifetime 8h"],
  options: {
    room: { type: 'string', value: 'ROOM_ID', multiple: true, description: 'Limit it to this room' },
    case: { type: 'string', value: 'CASE', description: 'The case that everything done with it is under' },
    reason: { type: 'string', value: 'TEXT', description: 'Why; needed' },
    lifetime: { type: 'string', value: 'DURATION', description: 'How long it is good', defaultText: DEFAULT_LIFETIME },
  },
  positionals: { min: 2, max: 2 },
  printsData: true,
  run: async ({ options, positionals: [userId, role], loadConfig, json, print, say }) => {
    if (options.reason === undefined) throw new UsageError('--reason says what the token is for');
    const body = await askServer<TokenJson>(await loadConfig(), '/_stele/operator/tokens/create', {
      user_id: userId,
      role,
      ...(options.room.length > 0 && { rooms: options.room }),
      ...(options.case !== undefined && { case_id: options.case }),
      reason: options.reason,
      expires_in_ms: durationOption('--lifetime', options.lifetime ?? DEFAULT_LIFETIME),
    });
    print(json ? JSON.stringify(body) : body.token);
    say(`It is good until ${new Date(body.expires_ts).toISOString()}; its id is ${body.token_id}.`);
    return SUCCESS;
  },
});
