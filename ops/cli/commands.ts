import type { Command } from './command.ts';

interface CommandModule {
  readonly command: Command;
}

type LoadCommand = () => Promise<CommandModule>;

/** Every verb of `stele` and the file it is in, under the headings of help. A file is loaded when its verb is used. */
export const COMMAND_GROUPS: Readonly<Record<string, Readonly<Record<string, LoadCommand>>>> = {
  'The server': {
    serve: () => import('./commands/serve.ts'),
    'config check': () => import('./commands/config-check.ts'),
    'config explain': () => import('./commands/config-explain.ts'),
    version: () => import('./commands/version.ts'),
  },
  'Accounts, keys and roles': {
    'users add': () => import('./commands/users-add.ts'),
    'users token': () => import('./commands/users-token.ts'),
    'keys list': () => import('./commands/keys-list.ts'),
    'keys rotate': () => import('./commands/keys-rotate.ts'),
    'roles list': () => import('./commands/roles-list.ts'),
    'roles grant': () => import('./commands/roles-grant.ts'),
    'roles revoke': () => import('./commands/roles-revoke.ts'),
    'roles approve': () => import('./commands/roles-approve.ts'),
    'tokens list': () => import('./commands/tokens-list.ts'),
    'tokens create': () => import('./commands/tokens-create.ts'),
    'tokens revoke': () => import('./commands/tokens-revoke.ts'),
  },
  'The log: is it whole, who did what': {
    verify: () => import('./commands/verify.ts'),
    proof: () => import('./commands/proof.ts'),
    'proof check': () => import('./commands/proof-check.ts'),
    'proof consistency': () => import('./commands/proof-consistency.ts'),
    audit: () => import('./commands/audit.ts'),
    replay: () => import('./commands/replay.ts'),
  },
  Rooms: {
    'rooms state': () => import('./commands/rooms-state.ts'),
    'rooms timeline': () => import('./commands/rooms-timeline.ts'),
    'rooms audience': () => import('./commands/rooms-audience.ts'),
    'rooms explain': () => import('./commands/rooms-explain.ts'),
    'rooms graph': () => import('./commands/rooms-graph.ts'),
    'rooms resolve': () => import('./commands/rooms-resolve.ts'),
    'rooms check-auth': () => import('./commands/rooms-check-auth.ts'),
  },
  'Exports, holds, retention and erasure': {
    'export case': () => import('./commands/export-case.ts'),
    'export verify': () => import('./commands/export-verify.ts'),
    'hold add': () => import('./commands/hold-add.ts'),
    'hold list': () => import('./commands/hold-list.ts'),
    'hold refusals': () => import('./commands/hold-refusals.ts'),
    'hold release': () => import('./commands/hold-release.ts'),
    'retention plan': () => import('./commands/retention-plan.ts'),
    'retention policy': () => import('./commands/retention-policy.ts'),
    'retention run': () => import('./commands/retention-run.ts'),
    erase: () => import('./commands/erase.ts'),
    'erase check': () => import('./commands/erase-check.ts'),
  },
  Backups: {
    backup: () => import('./commands/backup.ts'),
    'backup prune': () => import('./commands/backup-prune.ts'),
    restore: () => import('./commands/restore.ts'),
    drill: () => import('./commands/drill.ts'),
  },
  "Other servers' logs": {
    'witness serve': () => import('./commands/witness-serve.ts'),
    'witness key': () => import('./commands/witness-key.ts'),
  },
};

/** The same verbs by name. */
export const COMMANDS: Readonly<Record<string, LoadCommand>> = Object.assign({}, ...Object.values(COMMAND_GROUPS));
