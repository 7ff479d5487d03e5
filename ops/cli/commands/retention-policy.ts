import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { askFolder, READ_ONLY_OPTION } from '../read-folder.ts';
import { timeOption } from '../time-option.ts';

/** `stele retention policy` */
export const command = defineCommand({
  name: 'retention policy',
  summary: 'Show the retention policy that is, or was, in force',
  usage: '[--at TIME]',
  description: `
The settings are recorded in the log whenever the server starts with others: this prints what was in force at a time, as JSON, and
the position of the record that says so ('stele proof POSITION').`,
  examples: ['retention policy --at 2026-05-01'],
  options: { at: { type: 'string', value: 'TIME', description: 'When', defaultText: 'now' }, ...READ_ONLY_OPTION },
  printsData: true,
  run: async ({ options, loadConfig, json, print }) => {
    const atMs = timeOption('--at', options.at);
    const body = atMs === undefined ? {} : { at_ms: atMs };
    const ask = options['read-only'] ? askFolder : askServer;
    const answer = await ask(await loadConfig(), '/_stele/operator/retention/policy', body);
    print(json ? JSON.stringify(answer) : JSON.stringify(answer, undefined, 2));
    return SUCCESS;
  },
});
