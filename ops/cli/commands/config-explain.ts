import { type ExplainedSetting, explainConfig } from '#src/config/explain.ts';
import { loadConfig } from '#src/config/load.ts';
import { nearestName } from '#src/config/nearest.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';

/** `stele config explain` */
export const command = defineCommand({
  name: 'config explain',
  summary: 'Explain every setting, and show what it is',
  usage: '[KEY]',
  description: `
With KEY (server_name, registration, listeners.N.port …) only what begins with it. Secrets are not shown.
A setting is given in the YAML file, or in the environment variable that is named; the variable wins.`,
  examples: ['config explain retention'],
  options: {},
  positionals: { min: 0, max: 1 },
  printsData: true,
  run: async ({ configSource, positionals, json, print, say }) => {
    const loaded = await loadConfig(configSource);
    const [key = ''] = positionals;
    const all = explainConfig(loaded);
    const chosen = all.filter((setting) => key === '' || setting.key === key || setting.key.startsWith(`${key}.`));
    if (chosen.length === 0) {
      const near = nearestName(
        key,
        all.map((setting) => setting.key),
      );
      throw new UsageError(`there is no setting ${key}${near === undefined ? '' : `; did you mean ${near}?`}`);
    }
    if (json) {
      print(JSON.stringify(chosen, null, 2));
      return SUCCESS;
    }
    for (const warning of loaded.warnings) say(`warning: ${warning}`);
    print(chosen.map(paragraph).join('\n\n'));
    return SUCCESS;
  },
});

function paragraph(setting: ExplainedSetting): string {
  const { key, type, doc, environment, notInEffect, source } = setting;
  return [
    `${key}: ${written(setting.value)}${source === undefined ? '' : `   (from ${source})`}`,
    `    ${doc}`,
    ...(notInEffect === undefined ? [] : [`    Not in effect: ${notInEffect}`]),
    `    Type: ${type}. ${setting.default === undefined ? 'It has to be set.' : `Default: ${written(setting.default)}.`}`,
    `    Environment: ${environment}`,
  ].join('\n');
}

function written(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
