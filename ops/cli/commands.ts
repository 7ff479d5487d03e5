import type { Command } from './command.ts';

interface CommandModule {
  readonly command: Command;
}

/** Every verb of `stele` and the file it is in, in the order of help. A file is loaded when its verb is used. */
export const COMMANDS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  serve: () => import('./commands/serve.ts'),
  'config check': () => import('./commands/config-check.ts'),
  'config explain': () => import('./commands/config-explain.ts'),
  'users add': () => import('./commands/users-add.ts'),
  'users token': () => import('./commands/users-token.ts'),
  'keys list': () => import('./commands/keys-list.ts'),
  'keys rotate': () => import('./commands/keys-rotate.ts'),
  audit: () => import('./commands/audit.ts'),
  'roles list': () => import('./commands/roles-list.ts'),
  'roles grant': () => import('./commands/roles-grant.ts'),
  'roles revoke': () => import('./commands/roles-revoke.ts'),
  'roles approve': () => import('./commands/roles-approve.ts'),
  'tokens list': () => import('./commands/tokens-list.ts'),
  'tokens create': () => import('./commands/tokens-create.ts'),
  'tokens revoke': () => import('./commands/tokens-revoke.ts'),
  verify: () => import('./commands/verify.ts'),
  proof: () => import('./commands/proof.ts'),
  'proof check': () => import('./commands/proof-check.ts'),
  'proof consistency': () => import('./commands/proof-consistency.ts'),
  'rooms state': () => import('./commands/rooms-state.ts'),
  'rooms audience': () => import('./commands/rooms-audience.ts'),
  'rooms explain': () => import('./commands/rooms-explain.ts'),
  'rooms graph': () => import('./commands/rooms-graph.ts'),
  'rooms resolve': () => import('./commands/rooms-resolve.ts'),
  'rooms check-auth': () => import('./commands/rooms-check-auth.ts'),
  'export case': () => import('./commands/export-case.ts'),
  'export verify': () => import('./commands/export-verify.ts'),
  'witness serve': () => import('./commands/witness-serve.ts'),
  'witness key': () => import('./commands/witness-key.ts'),
  backup: () => import('./commands/backup.ts'),
  restore: () => import('./commands/restore.ts'),
  drill: () => import('./commands/drill.ts'),
  replay: () => import('./commands/replay.ts'),
  version: () => import('./commands/version.ts'),
};
