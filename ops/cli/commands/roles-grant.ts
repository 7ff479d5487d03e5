import { parseDuration } from '#src/config/quantity.ts';
import { GRANTABLE_ROLES, ROLES } from '#src/roles/capabilities.ts';
import { defineCommand, FINDING, SUCCESS, UsageError } from '../command.ts';
import { askServer } from '../operator-request.ts';

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
  options: {
    room: { type: 'string', value: 'ROOM_ID', multiple: true, description: 'Limit the role to this room' },
    case: { type: 'string', value: 'CASE', description: 'Limit the role to this case' },
    reason: { type: 'string', value: 'TEXT', description: 'Why; needed' },
    lifetime: { type: 'string', value: 'DURATION', description: 'Until it ends by itself, such as 8h or 30d' },
  },
  positionals: { min: 2, max: 2 },
  printsData: true,
  run: async ({ options, positionals: [userId, role], loadConfig, json, print, say }) => {
    if (options.reason === undefined) throw new UsageError('--reason says why the role is given');
    const { status, body } = await askServer(await loadConfig(), '/_stele/operator/roles/grant', {
      user_id: userId,
      role,
      ...(options.room.length > 0 && { rooms: options.room }),
      ...(options.case !== undefined && { case_id: options.case }),
      reason: options.reason,
      ...(options.lifetime !== undefined && { expires_in_ms: lifetimeOf(options.lifetime) }),
    });
    if (status !== 200) {
      say(`stele: ${String(body['error'])}`);
      return FINDING;
    }
    print(json ? JSON.stringify(body) : String(body['grant_id']));
    return SUCCESS;
  },
});

/** @throws {UsageError} */
export function lifetimeOf(text: string): number {
  const lifetimeMs = parseDuration(text);
  if (lifetimeMs === undefined || lifetimeMs === 0) throw new UsageError(`${text} is not a duration such as 8h or 30d`);
  return lifetimeMs;
}
