import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

/** `stele roles revoke GRANT_ID` */
export const command = defineCommand({
  name: 'roles revoke',
  summary: 'Take a role back',
  usage: 'GRANT_ID',
  examples: ["roles revoke GRANT_ID --reason 'the audit is over'"],
  options: { reason: { type: 'string', value: 'TEXT', description: 'Why; it is on record' } },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [id], loadConfig, json, print, say }) => {
    const { reason } = options;
    const body = await askServer(await loadConfig(), '/_stele/operator/roles/revoke', { id, reason });
    if (json) print(JSON.stringify(body));
    else say('The role is taken back, and with it the scoped tokens that draw on it.');
    return SUCCESS;
  },
});
