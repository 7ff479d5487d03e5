import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

interface TokenJson {
  readonly token_id: string;
  readonly user_id: string;
  readonly role: string;
  readonly expires_ts: number;
  readonly case_id: string | null;
  readonly reason: string;
}

/** `stele tokens list` */
export const command = defineCommand({
  name: 'tokens list',
  summary: 'Show the scoped tokens that there are',
  usage: '',
  description: `
Prints a line for each token that is good: its id, whose it is, the role, until when, for which case and why. The tokens themselves
are known to nobody but those who were given them.`,
  examples: ['tokens list'],
  options: {},
  printsData: true,
  run: async ({ loadConfig, json, print }) => {
    const { tokens } = await askServer<{ readonly tokens: readonly TokenJson[] }>(
      await loadConfig(),
      '/_stele/operator/tokens/list',
      {},
    );
    for (const token of tokens) print(json ? JSON.stringify(token) : lineOf(token));
    return SUCCESS;
  },
});

function lineOf({ token_id, user_id, role, expires_ts, case_id, reason }: TokenJson): string {
  const until = `until ${new Date(expires_ts).toISOString()}`;
  return [token_id, user_id, role, until, case_id ?? '-', JSON.stringify(reason)].join('  ');
}
