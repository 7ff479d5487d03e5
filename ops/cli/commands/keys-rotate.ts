import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

/** `stele keys rotate` */
export const command = defineCommand({
  name: 'keys rotate',
  summary: 'Sign events with a new key from now on',
  usage: '',
  description: `
Makes a new signing key and puts it in place of the one in signing_key_file. The old key's public half goes on being published, so
that everything it signed stays valid; its secret half is gone, unless you have a copy. The log records both. Prints the id of
the new key. Do this when the key file may have been read by somebody else, and now and then.

Works whether the server runs or not, as the system user that it runs as; a running server signs with the new key at once.`,
  examples: ['keys rotate'],
  options: {},
  printsData: true,
  run: async ({ loadConfig, json, print, say }) => {
    const body = await askServer<{ readonly key_id: string; readonly old_key_id: string }>(
      await loadConfig(),
      '/_stele/operator/keys/rotate',
      {},
    );
    print(json ? JSON.stringify(body) : body.key_id);
    say(`${body.old_key_id} is an old key now.`);
    return SUCCESS;
  },
});
