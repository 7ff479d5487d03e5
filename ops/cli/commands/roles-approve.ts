import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

/** `stele roles approve REQUEST_ID` */
export const command = defineCommand({
  name: 'roles approve',
  summary: 'Let somebody open everything for a while who asked for it',
  usage: 'REQUEST_ID',
  examples: ["roles approve REQUEST_ID --reason 'the incident of today'"],
  options: { reason: { type: 'string', value: 'TEXT', description: 'Why; it is on record' } },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [id], loadConfig, json, print, say }) => {
    const { reason } = options;
    const body = await askServer<{ readonly expires_ts: number }>(
      await loadConfig(),
      '/_stele/operator/roles/approve',
      { id, reason },
    );
    if (json) print(JSON.stringify(body));
    else say(`Everything is open to them until ${new Date(body.expires_ts).toISOString()}.`);
    return SUCCESS;
  },
});
