import { ConfigError, describeProblem } from '#src/config/errors.ts';
import { loadConfig } from '#src/config/load.ts';
import { defineCommand, FINDING, SUCCESS } from '../command.ts';

/** `stele config check` */
export const command = defineCommand({
  name: 'config check',
  summary: 'Check the configuration without starting anything',
  usage: '',
  description: `
Reads the file and the environment as 'stele serve' would, and says everything that is wrong with them at once.
Exit status 1 if something is wrong.`,
  examples: ['config check --config stele.yaml'],
  options: {},
  printsData: true,
  run: async ({ configSource, json, print, say }) => {
    try {
      const { file, warnings } = await loadConfig(configSource);
      if (json) print(JSON.stringify({ file: file ?? null, problems: [], warnings }));
      for (const warning of json ? [] : warnings) say(`warning: ${warning}`);
      if (!json) say(`${file ?? 'The configuration (no file, what npm start serves)'} is in order.`);
      return SUCCESS;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (json) print(JSON.stringify({ file: configSource.file ?? null, problems: error.problems, warnings: [] }));
      else for (const problem of error.problems) say(describeProblem(problem));
      return FINDING;
    }
  },
});
