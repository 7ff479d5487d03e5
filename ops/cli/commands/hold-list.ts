import { defineCommand, SUCCESS } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { askFolder, READ_ONLY_OPTION } from '../read-folder.ts';

interface HoldJson {
  readonly hold_id: string;
  readonly scope: Readonly<Record<string, string | number | undefined>>;
  readonly case_id: string;
  readonly reason: string;
  readonly set_by: string;
  readonly set_at: string;
  readonly released: { readonly by: string; readonly at: string; readonly reason: string } | null;
}

/** `stele hold list` */
export const command = defineCommand({
  name: 'hold list',
  summary: 'Show legal holds: what they cover, for which case, who set them',
  usage: '[--all] [--case CASE]',
  examples: ['hold list', 'hold list --case C-17 --all --json'],
  options: {
    all: { type: 'boolean', description: 'Those that were released too' },
    case: { type: 'string', value: 'CASE', description: 'Only those of this case' },
    ...READ_ONLY_OPTION,
  },
  printsData: true,
  run: async ({ options, loadConfig, json, print }) => {
    const body = { all: options.all, ...(options.case !== undefined && { case_id: options.case }) };
    const ask = options['read-only'] ? askFolder : askServer;
    const { holds } = await ask<{ readonly holds: readonly HoldJson[] }>(
      await loadConfig(),
      '/_stele/operator/holds/list',
      body,
    );
    for (const hold of holds) print(json ? JSON.stringify(hold) : lineOf(hold));
    return SUCCESS;
  },
});

function lineOf({ hold_id, scope, case_id, reason, set_by, set_at, released }: HoldJson): string {
  const covers = Object.entries(scope).map(([name, value]) =>
    typeof value === 'number'
      ? `${name.replace(/_ms$/, '')}=${new Date(value).toISOString()}`
      : `${name.replace(/_id$/, '')}=${value}`,
  );
  const end = released === null ? 'stands' : `released ${released.at} by ${released.by}: ${released.reason}`;
  return [hold_id, set_at, `case=${case_id}`, ...covers, `by ${set_by}: ${reason}`, end]
    .join('  ')
    .replace(/\p{C}/gu, '\ufffd');
}
