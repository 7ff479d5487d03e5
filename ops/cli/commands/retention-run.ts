import { defineCommand, SUCCESS } from '../command.ts';
import { askWithProgress } from '../retention-progress.ts';

/** `stele retention run` */
export const command = defineCommand({
  name: 'retention run',
  summary: 'Destroy what has expired now, without waiting for the schedule',
  usage: '',
  description: `
Goes through the log, destroys the keys of what the policy lets go, and builds the tables and the search index anew: that takes as long
as both. What a legal hold covers stays. Works whether the server runs or not, as the system user that it runs as.`,
  examples: ['retention run'],
  options: {},
  printsData: true,
  run: async ({ loadConfig, json, print }) => {
    const answer = await askWithProgress<{ readonly sections: number; readonly media: number }>(
      await loadConfig(),
      '/_stele/operator/retention/run',
      {},
      'Going through the log',
    );
    const { sections, media } = answer;
    print(json ? JSON.stringify(answer) : `${sections} sections of records and ${media} files were destroyed.`);
    return SUCCESS;
  },
});
