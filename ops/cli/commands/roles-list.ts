import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

interface GrantJson {
  readonly grant_id: string;
  readonly user_id: string;
  readonly role: string;
  readonly rooms: readonly string[] | null;
  readonly case_id: string | null;
  readonly reason: string;
  readonly granted_by: string;
  readonly expires_ts: number | null;
  readonly in_force: boolean;
}

/** `stele roles list` */
export const command = defineCommand({
  name: 'roles list',
  summary: 'Show who has which role',
  usage: '',
  description: `
Prints a line for each role that was given: its id, whose it is, what limits it, who gave it and why. Server administrators have the
role admin without being given it, and are not listed.`,
  examples: ['roles list', 'roles list --json'],
  options: {},
  printsData: true,
  run: async ({ loadConfig, json, print }) => {
    const { grants } = await askServer<{ readonly grants: readonly GrantJson[] }>(
      await loadConfig(),
      '/_stele/operator/roles/list',
      {},
    );
    for (const grant of grants) print(json ? JSON.stringify(grant) : grantLine(grant));
    return SUCCESS;
  },
});

function grantLine(grant: GrantJson): string {
  const limits = [...(grant.rooms ?? []), ...(grant.case_id === null ? [] : [`case ${grant.case_id}`])];
  const until = grant.expires_ts === null ? 'for good' : `until ${new Date(grant.expires_ts).toISOString()}`;
  return [
    grant.grant_id,
    grant.user_id,
    grant.role,
    limits.length === 0 ? 'everywhere' : limits.join(' '),
    grant.in_force ? until : 'over',
    `by ${grant.granted_by}: ${JSON.stringify(grant.reason)}`,
  ].join('  ');
}
