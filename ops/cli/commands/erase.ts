import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CommandContext, defineCommand, type ExitStatus, FINDING, SUCCESS } from '../command.ts';
import { type AskServer, withServer } from '../operator-request.ts';

/** How often it is asked how far it has come. */
const POLL_INTERVAL_MS = 200;

const options = {
  reason: { type: 'string', value: 'TEXT', description: 'Why; it is in the certificate' },
  case: { type: 'string', value: 'CASE', description: 'The case that it belongs to' },
  'no-peers': { type: 'boolean', description: 'Do not ask other servers to redact what the user has sent' },
  out: { type: 'string', value: 'DIR', description: 'Write the certificate there: certificate.json, certificate.txt' },
} as const;

/** `stele erase` */
export const command = defineCommand({
  name: 'erase',
  summary: 'Erase a user: destroy all that the server keeps of them, and print the certificate',
  usage: '@USER:SERVER',
  description: `
Closes the account and destroys the keys of everything that the user wrote, uploaded or set, removes it from all tables, the search
index and the media store, and asks other servers to redact what was sent to them. It cannot be undone. What a legal hold covers is
put off until the hold is released; what the policy keeps with a legal basis stays; the certificate says what. The log keeps that
there was something, and still verifies.

Prints the signed certificate. Exit status 1 if a part of it waits for a hold. Works whether the server runs or not.`,
  examples: ['erase @ann:example.org --case DP-3 --out ./certificate'],
  options,
  printsData: true,
  positionals: { min: 1, max: 1 },
  run: async (context) => withServer(await context.loadConfig(), (ask) => erase(ask, context)),
});

interface ErasureJson {
  readonly state: 'requested' | 'deferred' | 'completed';
  readonly is_running: boolean;
  readonly hold_ids: readonly string[];
  readonly failure: string | null;
  readonly certificate: { readonly document: string; readonly note: string } | null;
}

async function erase(
  ask: AskServer,
  { options: given, positionals, json, print, say, signal }: CommandContext<typeof options>,
): Promise<ExitStatus> {
  const { reason, case: caseId, 'no-peers': noPeers, out } = given;
  const { erasure_id: id } = await ask<{ readonly erasure_id: string }>('/_stele/operator/erasures', {
    user_id: positionals[0] ?? '',
    asks_peers: !noPeers,
    reason,
    case_id: caseId,
  });
  say(`Request ${id} is on record.`);
  for (;;) {
    const body = await ask<ErasureJson>('/_stele/operator/erasures/get', { erasure_id: id });
    const { state, is_running: isRunning, hold_ids: holdIds, failure, certificate } = body;
    if (failure !== null && !isRunning) {
      say(`stele: ${failure}. The server tries it again.`);
      return FINDING;
    }
    if (state === 'completed' && certificate !== null) {
      if (out !== undefined) await write(out, certificate);
      print(json ? JSON.stringify(body) : certificate.note);
      return SUCCESS;
    }
    if (state === 'deferred' && !isRunning) {
      if (json) print(JSON.stringify(body));
      say(`A part of it waits for legal holds: ${holdIds.join(', ')}. It goes when they are released.`);
      return FINDING;
    }
    if (signal.aborted) return FINDING;
    await sleep(POLL_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function write(folder: string, { document, note }: NonNullable<ErasureJson['certificate']>): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'certificate.json'), document);
  await writeFile(path.join(folder, 'certificate.txt'), note);
}
