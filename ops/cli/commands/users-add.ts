import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { askForPassword, passwordFromInput } from '../read-password.ts';

/** `stele users add NAME` */
export const command = defineCommand({
  name: 'users add',
  summary: 'Make an account, for example the first administrator',
  usage: 'NAME',
  description: `
NAME is the part of the user id before the colon. The password is asked for at the terminal, or read from standard input.
Works whether the server runs or not, as the system user that it runs as.`,
  examples: ['users add alice --admin', 'users add bob --password-stdin < password.txt'],
  options: {
    admin: { type: 'boolean', description: 'Make it a server administrator' },
    'password-stdin': { type: 'boolean', description: 'Read the password from the first line of standard input' },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals, loadConfig, json, print, say }) => {
    const config = await loadConfig();
    const [given = ''] = positionals;
    const username = localpart(given, config.server_name);
    const password = options['password-stdin'] ? await passwordFromInput() : await askForPassword(username);
    const { user_id } = await askServer<{ readonly user_id: string }>(config, '/_stele/operator/users', {
      username,
      password,
      admin: options.admin,
    });
    if (json) print(JSON.stringify({ user_id, admin: options.admin }));
    else say(`${options.admin ? 'Administrator' : 'User'} ${user_id} is made.`);
    return SUCCESS;
  },
});

/** `alice` of `alice`, `@alice` and `@alice:example.org`. */
function localpart(given: string, serverName: string): string {
  const name = given.startsWith('@') ? given.slice(1) : given;
  return name.endsWith(`:${serverName}`) ? name.slice(0, -serverName.length - 1) : name;
}
