import { GRANTABLE_ROLES, ROLES } from '#src/roles/capabilities.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { durationOption } from '../time-option.ts';

/** `stele roles grant USER ROLE` */
export const command = defineCommand({
  name: 'roles grant',
  summary: 'Give a user a role: moderator, compliance_officer, reviewer, auditor, …',
  usage: 'USER_ID ROLE',
  description: `
The roles:
${GRANTABLE_ROLES.map((role) => `  ${role.padEnd(24)} ${ROLES[role].says}`).join('\n')}

A moderator needs --room (as often as there are rooms), a reviewer --case and the rooms that it is about. Prints the id of the
grant, by which 'stele roles revoke' takes it back.`,
  examples: [
    "roles grant @eve:example.org auditor --reason 'yearly audit' --lifetime 30d",
    "roles grant @mo:example.org moderator --room '!room:example.org' --reason 'looks after it'",
  ],
  options: {
    room: { type: 'string', value: 'ROOM_ID', multiple: true, description: 'Limit the role to this room' },
    case: { type: 'string', value: 'CASE', description: 'Limit the role to this case' },
    reason: { type: 'string', value: 'TEXT', description: 'Why; needed' },
    lifetime: { type: 'string', value: 'DURATION', description: 'Until it ends by itself, such as 8h or 30d' },
  },
  positionals: { min: 2, max: 2 },
  printsData: true,
  run: async ({ options, positionals: [userId, role], loadConfig, json, print }) => {
    if (options.reason === undefined) throw new UsageError('--reason says why the role is given');
    const body = await askServer<{ readonly grant_id: string }>(await loadConfig(), '/_stele/operator/roles/grant', {
      user_id: userId,
      role,
      ...(options.room.length > 0 && { rooms: options.room }),
      ...(options.case !== undefined && { case_id: options.case }),
      reason: options.reason,
      expires_in_ms: durationOption('--lifetime', options.lifetime),
    });
    print(json ? JSON.stringify(body) : body.grant_id);
    return SUCCESS;
  },
});
