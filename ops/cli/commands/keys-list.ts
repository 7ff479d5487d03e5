import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

interface KeyJson {
  readonly key_id: string;
  readonly public_key: string;
  readonly expired_ts: number | null;
}

/** `stele keys list` */
export const command = defineCommand({
  name: 'keys list',
  summary: 'Show the keys that this server signs with, or has signed with',
  usage: '',
  description: `
Prints a line for each key: its id, its public half, and until when it was used; the key in use comes first. Works whether the
server runs or not, as the system user that it runs as.`,
  examples: ['keys list'],
  options: {},
  printsData: true,
  run: async ({ loadConfig, json, print }) => {
    const { keys } = await askServer<{ readonly keys: readonly KeyJson[] }>(
      await loadConfig(),
      '/_stele/operator/keys/list',
      {},
    );
    for (const key of keys) print(json ? JSON.stringify(key) : lineOf(key));
    return SUCCESS;
  },
});

function lineOf(key: KeyJson): string {
  const until = key.expired_ts === null ? 'in use' : `until ${new Date(key.expired_ts).toISOString()}`;
  return `${key.key_id}  ${key.public_key}  ${until}`;
}
