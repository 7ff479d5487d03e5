import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

/** `stele tokens revoke TOKEN_ID` */
export const command = defineCommand({
  name: 'tokens revoke',
  summary: 'Take a scoped token back',
  usage: 'TOKEN_ID',
  examples: ["tokens revoke TOKEN_ID --reason 'it was lost'"],
  options: { reason: { type: 'string', value: 'TEXT', description: 'Why; it is on record' } },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [id], loadConfig, json, print, say }) => {
    const { reason } = options;
    const body = await askServer(await loadConfig(), '/_stele/operator/tokens/revoke', { id, reason });
    if (json) print(JSON.stringify(body));
    else say('The token is good for nothing any more.');
    return SUCCESS;
  },
});
