import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { askServer } from '../operator-request.ts';

/** `stele hold release` */
export const command = defineCommand({
  name: 'hold release',
  summary: 'Release a legal hold; what waited for it goes on',
  usage: 'HOLD_ID --reason TEXT',
  description: `
With compliance.hold_four_eyes somebody else than who set the hold has to release it. Who runs this command is known by the user as whom
they logged in to the operating system, which stays through sudo and su; an account of the same name counts as the same person.`,
  examples: ["hold release HOLD_ID --reason 'settled'"],
  options: { reason: { type: 'string', value: 'TEXT', description: 'Why' } },
  positionals: { min: 1, max: 1 },
  run: async ({ options: { reason }, positionals: [holdId = ''], loadConfig, say }) => {
    if (reason === undefined) throw new UsageError('releasing a hold needs --reason');
    await askServer(await loadConfig(), '/_stele/operator/holds/release', { hold_id: holdId, reason });
    say('The hold is released.');
    return SUCCESS;
  },
});
