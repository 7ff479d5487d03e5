import { MAX_NAMED_ITEMS } from '#src/client-api/admin/retention/retention-json.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { count } from '../progress.ts';
import { askWithProgress } from '../retention-progress.ts';
import { timeOption } from '../time-option.ts';

interface SumJson {
  readonly outcome: string;
  readonly cause: string;
  readonly class: string;
  readonly why: string;
  readonly count: number;
  readonly first_due: string;
}

interface PlanJson {
  readonly sums: readonly SumJson[];
  readonly items: readonly object[];
}

/** `stele retention plan` */
export const command = defineCommand({
  name: 'retention plan',
  summary: 'Show what would be destroyed, when and why, and what holds keep back',
  usage: '[--until TIME] [--items N]',
  description: `
Goes through the log and prints, by class and reason, what is due now or will be by the time of --until; with --items also the first
N items one by one, as JSON lines. Changes nothing. Works while the server runs.`,
  examples: ['retention plan --until 2027-01-01 --items 20'],
  options: {
    until: { type: 'string', value: 'TIME', description: 'What will be due by then', defaultText: 'now' },
    items: {
      type: 'string',
      value: 'N',
      description: `How many items to name, at most ${MAX_NAMED_ITEMS}`,
      defaultText: 'none',
    },
  },
  printsData: true,
  run: async ({ options, loadConfig, json, print, say }) => {
    const untilMs = timeOption('--until', options.until);
    const answer = await askWithProgress<PlanJson>(
      await loadConfig(),
      '/_stele/operator/retention/plan',
      { limit: itemsOption(options.items), until_ms: untilMs },
      'Planning',
    );
    if (json) {
      print(JSON.stringify(answer));
      return SUCCESS;
    }
    for (const sum of answer.sums) print(lineOf(sum));
    for (const item of answer.items) print(JSON.stringify(item));
    if (answer.sums.length === 0) say('Nothing is due.');
    return SUCCESS;
  },
});

function lineOf({ outcome, count: items, class: itemClass, first_due, why }: SumJson): string {
  return `${outcome === 'destroy' ? 'goes' : 'stays'}  ${count(items)} ${itemClass}  from ${first_due}  ${why}`;
}

/** @throws {UsageError} */
function itemsOption(text = '0'): number {
  if (!/^\d+$/.test(text) || Number(text) > MAX_NAMED_ITEMS) {
    throw new UsageError(`--items ${text} is not a number of items up to ${MAX_NAMED_ITEMS}`);
  }
  return Number(text);
}
