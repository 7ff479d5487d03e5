import { once } from 'node:events';
import { parseVerifier } from '#streams/transparency/note.ts';
import { Witness } from '#streams/transparency/witness.ts';
import { keepEvidence, lockWitness, openWitnessKey, witnessPaths } from '../../witness/witness-folder.ts';
import { serveWitness } from '../../witness/witness-server.ts';
import { type CommandContext, defineCommand, type ExitStatus, SUCCESS, UsageError } from '../command.ts';

const DEFAULT_LISTEN = '127.0.0.1:8099';

const options = {
  state: { type: 'string', value: 'DIR', description: 'The folder of the key and of what was cosigned' },
  name: { type: 'string', value: 'NAME', description: 'The name of a new key: a URL without its scheme' },
  log: {
    type: 'string',
    value: 'KEY',
    multiple: true,
    description: 'The public key of a log, as /_stele/log/key gives it',
  },
  listen: { type: 'string', value: 'HOST:PORT', description: 'Where to listen', defaultText: DEFAULT_LISTEN },
} as const;

/** `stele witness serve` */
export const command = defineCommand({
  name: 'witness serve',
  summary: "Cosign the checkpoints of other servers' logs",
  usage: '--state DIR --log KEY',
  description: `
Answers POST /add-checkpoint (C2SP tlog-witness): cosigns a checkpoint of a log that was named with --log, if it continues all that
was cosigned of that log before. What was cosigned is in the state folder, which must never be lost or put back from an older copy:
retire the witness instead. Two histories signed by one log are kept as evidence in the state folder and said on standard error.
Put a reverse proxy with TLS in front of it, and run it on another machine, by other people, than the logs it watches.`,
  examples: ['witness serve --state ./witness --log "$(curl -s https://matrix.example.org/_stele/log/key)"'],
  options,
  usesConfig: false,
  printsData: true,
  run: async (context) => {
    const { state, log: logs } = context.options;
    if (state === undefined) throw new UsageError('--state names the folder of the witness');
    if (logs.length === 0) throw new UsageError('--log names a log to look after');
    const lock = await lockWitness(state);
    try {
      return await serve(state, context);
    } finally {
      lock.release();
    }
  },
});

async function serve(
  state: string,
  { options: given, json, print, say, signal }: CommandContext<typeof options>,
): Promise<ExitStatus> {
  const cosigner = await openWitnessKey(state, given.name);
  const witness = new Witness({
    folder: witnessPaths(state).logs,
    cosigner,
    logs: given.log.map((key) => parseVerifier(key)),
    onMisbehaviour: (found) => {
      if (found.kind !== 'fork') {
        say(
          `warning: a checkpoint of ${found.origin} does not fit what was cosigned (${found.kind}); it was not cosigned.`,
        );
        return;
      }
      say(`ALARM: ${found.origin} signed two histories of as many records.`);
      keepEvidence(state, found).then(
        (file) => file !== undefined && say(`Both notes are in ${file}.`),
        (error: unknown) => say(`warning: the evidence could not be kept: ${String(error)}`),
      );
    },
  });
  const { host, port } = parseListen(given.listen ?? DEFAULT_LISTEN);
  const running = await serveWitness(witness, { host, port }, (error) => say(`stele: ${String(error)}`));
  say(`The witness answers at ${running.url}. Its public key:`);
  const { text: key } = cosigner.verifier;
  print(json ? JSON.stringify({ url: running.url, key }) : key);
  if (!signal.aborted) await once(signal, 'abort');
  await running.stop();
  return SUCCESS;
}

function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new UsageError(`${text} is no HOST:PORT`);
  return { host: match[1] ?? match[2] ?? '', port };
}
