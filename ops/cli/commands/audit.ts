import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditEntryJson } from '#src/audit/entry-json.ts';
import { type CommandContext, defineCommand, type ExitStatus, SUCCESS, UsageError } from '../command.ts';
import { type AskServer, withServer } from '../operator-request.ts';
import { READ_ONLY_OPTION, withFolder } from '../read-folder.ts';
import { END_OF_DAY, timeOption } from '../time-option.ts';

/** How often `--follow` asks for what is new. */
const FOLLOW_INTERVAL_MS = 1_000;

const options = {
  actor: {
    type: 'string',
    value: 'WHO',
    description: 'Only what they did: a user id, operator:NAME, server:TASK or stranger',
  },
  action: { type: 'string', value: 'ACTION', description: "Only this action, or those that begin so: 'user.*'" },
  target: { type: 'string', value: 'ID', description: 'Only what was done to this user, event, media, …' },
  room: { type: 'string', value: 'ROOM_ID', description: 'Only what was done in this room' },
  case: { type: 'string', value: 'CASE', description: 'Only what was done under this case' },
  from: { type: 'string', value: 'TIME', description: 'Only from this time on: 2026-01-31, 2026-01-31T12:00Z' },
  to: { type: 'string', value: 'TIME', description: 'Only up to this time; a date is meant with the whole of its day' },
  reason: { type: 'string', value: 'TEXT', description: 'Why you ask; it is on record with your question' },
  follow: { type: 'boolean', description: 'Go on printing entries as they come, until interrupted' },
  ...READ_ONLY_OPTION,
} as const;

/** `stele audit` */
export const command = defineCommand({
  name: 'audit',
  summary: 'Show who did what: sign-ins, administration, moderation, reads of content, keys, configuration',
  usage: '',
  description: `
Prints the entries of the audit log that fit all conditions, the oldest first, one a line; with --json as JSON lines. Each entry has
its position in the log: 'stele proof POSITION' proves that it is there and unchanged.

That somebody asked is an entry too. Nobody can remove entries. Works whether the server runs or not, as the system user that it
runs as; --follow needs a running server. Of a copy of a data folder it is asked with --read-only.`,
  examples: [
    "audit --from 2026-01-01 --room '!room:example.org'",
    "audit --case C-17 --action 'content.*' --json",
    'audit --action configuration.change --to 2026-03-01',
    'audit --follow',
  ],
  options,
  printsData: true,
  run: async (context) => {
    const config = await context.loadConfig();
    const query = queryOf(context.options);
    if (context.options['read-only']) {
      if (context.options.follow) throw new UsageError('--follow needs a running server');
      return withFolder(config, (ask) => show(ask, query, context));
    }
    return withServer(config, (ask, isRunning) => {
      if (context.options.follow && !isRunning) throw new UsageError('--follow needs a running server');
      return show(ask, query, context);
    });
  },
});

type Context = Pick<CommandContext<typeof options>, 'options' | 'json' | 'print' | 'signal'>;

interface PageJson {
  readonly entries: readonly AuditEntryJson[];
  readonly next: number | null;
  readonly asked: number;
}

async function show(ask: AskServer, query: object, { options, json, print, signal }: Context): Promise<ExitStatus> {
  let place: { readonly after?: number; readonly asked?: number } = {};
  for (;;) {
    const { reason } = options;
    const { entries, next, asked } = await ask<PageJson>('/_stele/operator/audit', { ...query, ...place, reason });
    for (const entry of entries) print(json ? JSON.stringify(entry) : lineOf(entry));
    const after = next ?? entries.at(-1)?.position ?? place.after;
    place = { asked, ...(after !== undefined && { after }) };
    if (signal.aborted || (next === null && !options.follow)) return SUCCESS;
    if (next === null) await sleep(FOLLOW_INTERVAL_MS, undefined, { signal }).catch(() => {});
  }
}

/** @throws {UsageError} for a time that is none. */
function queryOf({ actor, action, target, room, case: caseId, from, to }: Context['options']): object {
  return {
    actor,
    action,
    target,
    room,
    case: caseId,
    from_ms: timeOption('--from', from),
    to_ms: timeOption('--to', to, END_OF_DAY),
  };
}

/** An entry for people. */
function lineOf(entry: AuditEntryJson): string {
  const target = entry['target'] as { readonly id: string } | undefined;
  const { user_id: userId, acting_as: actingAs, role, kind, name, task } = entry.actor;
  const who =
    (actingAs === undefined ? userId : `${userId} as ${actingAs}`) ??
    (kind === 'operator' ? `operator:${name}` : kind === 'server' ? `server:${task}` : String(kind));
  const named = [
    ['room', entry['room_id']],
    ['from', entry['ip']],
    ['case', entry['case_id']],
    ['reason', entry['reason']],
    ['why', entry['why']],
    ['times', entry['count']],
    ['before', entry['before']],
    ['after', entry['after']],
  ] as const;
  return [
    entry.at,
    String(entry.position),
    role === undefined ? who : `${who} (${role})`,
    entry.outcome === 'allowed' ? entry.action : `${entry.action} ${entry.outcome}`,
    ...(target === undefined ? [] : [target.id]),
    ...named.flatMap(([label, value]) => (value === undefined ? [] : [`${label}=${wordOf(value)}`])),
  ]
    .map(withoutControls)
    .join('  ');
}

function wordOf(value: unknown): string {
  return typeof value === 'string' && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
}

/** What others wrote must not steer the terminal. */
function withoutControls(text: string): string {
  return text.replace(/\p{C}/gu, '\ufffd');
}
