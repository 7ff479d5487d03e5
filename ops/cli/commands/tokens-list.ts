import { defineCommand, FINDING, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

/** `stele tokens list` */
export const command = defineCommand({
  name: 'tokens list',
  summary: 'Show the scoped tokens that there are',
  usage: '',
  options: {},
  printsData: true,
  run: async ({ loadConfig, json, print, say }) => {
    const { status, body } = await askServer(await loadConfig(), '/_stele/operator/tokens/list', {});
    const tokens = body['tokens'];
    if (status !== 200 || !Array.isArray(tokens)) {
      say(`stele: ${String(body['error'])}`);
      return FINDING;
    }
    for (const token of tokens) {
      const until = `until ${new Date(token.expires_ts).toISOString()}`;
      const words = [
        token.token_id,
        token.user_id,
        token.role,
        until,
        token.case_id ?? '-',
        JSON.stringify(token.reason),
      ];
      print(json ? JSON.stringify(token) : words.join('  '));
    }
    return SUCCESS;
  },
});
