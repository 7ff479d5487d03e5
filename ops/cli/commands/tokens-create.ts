import { defineCommand, FINDING, SUCCESS, UsageError } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { lifetimeOf } from './roles-grant.ts';

/** `stele tokens create USER ROLE` */
export const command = defineCommand({
  name: 'tokens create',
  summary: 'Make an access token for one role, one reason and a limited time',
  usage: 'USER_ID ROLE',
  description: `
USER_ID has to have the role. Whatever is done with the token is on record with its reason and case, so tools that cannot say why they
read something can be given one. Prints the token, which is not shown again.`,
  options: {
    room: { type: 'string', value: 'ROOM_ID', multiple: true, description: 'Limit it to this room' },
    case: { type: 'string', value: 'CASE', description: 'The case that everything done with it is under' },
    reason: { type: 'string', value: 'TEXT', description: 'Why; needed' },
    lifetime: { type: 'string', value: 'DURATION', description: 'How long it is good', defaultText: '8h' },
  },
  positionals: { min: 2, max: 2 },
  printsData: true,
  run: async ({ options, positionals: [userId, role], loadConfig, json, print, say }) => {
    if (options.reason === undefined) throw new UsageError('--reason says what the token is for');
    const { status, body } = await askServer(await loadConfig(), '/_stele/operator/tokens/create', {
      user_id: userId,
      role,
      ...(options.room.length > 0 && { rooms: options.room }),
      ...(options.case !== undefined && { case_id: options.case }),
      reason: options.reason,
      expires_in_ms: lifetimeOf(options.lifetime ?? '8h'),
    });
    if (status !== 200) {
      say(`stele: ${String(body['error'])}`);
      return FINDING;
    }
    print(json ? JSON.stringify(body) : String(body['token']));
    say(
      `It is good until ${new Date(Number(body['expires_ts'])).toISOString()}; its id is ${String(body['token_id'])}.`,
    );
    return SUCCESS;
  },
});
