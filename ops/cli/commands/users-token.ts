import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { durationOption } from '../time-option.ts';

/** `stele users token` */
export const command = defineCommand({
  name: 'users token',
  summary: 'Make a registration token, with which people make accounts themselves',
  usage: '[TOKEN]',
  description: `
Prints the token: TOKEN, or a random one. People are asked for it when they register, where registration.open and
registration.token_required are set. Works whether the server runs or not, as the system user that it runs as.`,
  examples: ['users token', 'users token welcome --uses 20 --lifetime 7d'],
  options: {
    uses: { type: 'string', value: 'N', description: 'How many accounts can be made with it', defaultText: '1' },
    unlimited: { type: 'boolean', description: 'Let any number of accounts be made with it' },
    lifetime: {
      type: 'string',
      value: 'DURATION',
      description: 'How long it is good, such as 7d',
      defaultText: 'for ever',
    },
  },
  positionals: { min: 0, max: 1 },
  printsData: true,
  run: async ({ options, positionals, loadConfig, json, print }) => {
    const { token } = await askServer<{ readonly token: string }>(
      await loadConfig(),
      '/_stele/operator/registration-tokens',
      {
        token: positionals[0],
        uses_allowed: usesOf(options),
        lifetime_ms: durationOption('--lifetime', options.lifetime),
      },
    );
    print(json ? JSON.stringify({ token }) : token);
    return SUCCESS;
  },
});

function usesOf({
  uses,
  unlimited,
}: {
  readonly uses: string | undefined;
  readonly unlimited: boolean;
}): number | undefined {
  if (unlimited && uses !== undefined) throw new UsageError('--uses and --unlimited contradict each other');
  if (unlimited) return undefined;
  if (uses !== undefined && !/^[1-9]\d{0,8}$/.test(uses))
    throw new UsageError(`--uses ${uses} is not a number of accounts`);
  return Number(uses ?? 1);
}
