import { defineCommand, FINDING, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { count } from '../progress.ts';
import { timeOption } from '../time-option.ts';

interface SumJson {
  readonly outcome: string;
  readonly cause: string;
  readonly class: string;
  readonly why: string;
  readonly count: number;
  readonly first_due: string;
}

/** `stele retention plan` */
export const command = defineCommand({
  name: 'retention plan',
  summary: 'Show what would be destroyed, when and why, and what holds keep back',
  usage: '[--until TIME] [--items N]',
  description: `
Goes through the log and prints, by class and reason, what is due now or will be by the time of --until; with --items also the first
N items one by one, as JSON lines. Changes nothing. Works while the server runs.`,
  options: {
    until: { type: 'string', value: 'TIME', description: 'What will be due by then', defaultText: 'now' },
    items: { type: 'string', value: 'N', description: 'How many items to name, at most 10000', defaultText: 'none' },
  },
  printsData: true,
  run: async ({ options, loadConfig, json, print, say }) => {
    const untilMs = timeOption('--until', options.until);
    const limit = Math.min(Number(options.items ?? 0) || 0, 10_000);
    const body = { limit, ...(untilMs !== undefined && { until_ms: untilMs }) };
    const answer = await askServer(await loadConfig(), '/_stele/operator/retention/plan', body);
    if (answer.status !== 200) {
      say(`stele: ${String(answer.body['error'])}`);
      return FINDING;
    }
    if (json) {
      print(JSON.stringify(answer.body));
      return SUCCESS;
    }
    const { sums, items } = answer.body as unknown as { sums: readonly SumJson[]; items: readonly object[] };
    for (const { outcome, class: itemClass, why, count: items, first_due } of sums) {
      print(`${outcome === 'destroy' ? 'goes' : 'stays'}  ${count(items)} ${itemClass}  from ${first_due}  ${why}`);
    }
    for (const item of items) print(JSON.stringify(item));
    if (sums.length === 0) say('Nothing is due.');
    return SUCCESS;
  },
});
