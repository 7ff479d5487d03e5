import { defineCommand, FINDING, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';

/** `stele retention run` */
export const command = defineCommand({
  name: 'retention run',
  summary: 'Destroy what has expired now, without waiting for the schedule',
  usage: '',
  options: {},
  printsData: true,
  run: async ({ loadConfig, json, print, say }) => {
    const answer = await askServer(await loadConfig(), '/_stele/operator/retention/run', {});
    if (answer.status !== 200) {
      say(`stele: ${String(answer.body['error'])}`);
      return FINDING;
    }
    const { sections, media } = answer.body as { sections: number; media: number };
    print(json ? JSON.stringify(answer.body) : `${sections} sections of records and ${media} files were destroyed.`);
    return SUCCESS;
  },
});
