import { dataPaths } from '#src/data-paths.ts';
import { MAX_SECTIONS } from '#streams/event-log.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import type { RawRecord, ReadOnlyLog } from '#streams/raw-log.ts';
import { makeInclusionProof } from '#streams/transparency/make-proof.ts';
import { readPublicKey } from '#streams/transparency/signing-key.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { findRecordOfEvent } from '../../proof/find-record.ts';
import { defineCommand, FINDING, SUCCESS, UsageError } from '../command.ts';
import { startProgress } from '../progress.ts';
import { READ_OPTIONS, recordRead } from '../record-read.ts';

/** `stele proof` */
export const command = defineCommand({
  name: 'proof',
  summary: 'Prove that an event or record is in the log',
  usage: 'EVENT_ID | POSITION',
  description: `
Prints a JSON document that anybody can check offline, with 'stele proof check' or any RFC 6962 implementation. It shows the
record's public header and that it is in the log that the server signed; of what the record says it shows nothing, unless
asked. --with-content needs a reason and a case, which are on record. Works while the server runs.`,
  examples: [
    "proof '$event_id' > proof.json",
    "proof 4711 --with-content --reason 'complaint' --case C-17 > proof.json",
  ],
  options: {
    'with-skeleton': {
      type: 'boolean',
      description: 'Open what redaction keeps of an event: which one it is, its sender and place, not what it says',
    },
    'with-content': { type: 'boolean', description: 'Open all of the record: whoever has the proof can read it' },
    ...READ_OPTIONS,
  },
  positionals: { min: 1, max: 1 },
  printsData: 'json',
  run: async ({ options, positionals, loadConfig, print, say, signal }) => {
    const [wanted = ''] = positionals;
    const { isEvent, position: given } = parseWanted(wanted);
    const config = await loadConfig();
    const paths = dataPaths(config.data_dir);
    if (options['with-content']) {
      const target = { kind: 'event', id: wanted } as const;
      await recordRead(config, { action: 'content.read', target, command: 'proof', options });
    }
    const verifier = await readPublicKey(paths.logSigningKey);
    const revealed = options['with-content'] ? MAX_SECTIONS : options['with-skeleton'] ? 1 : 0;
    const log = await openLogReadOnly({ folder: paths.log, withKeys: isEvent || revealed > 0 });
    try {
      const position = isEvent ? await find(log, wanted, signal) : given;
      const record = position === undefined ? undefined : await log.readRaw(position);
      if (record === undefined) {
        say(
          isEvent
            ? `There is no event ${wanted} in the log.`
            : `The log has no record ${wanted}: it has ${log.head() + 1}.`,
        );
        return FINDING;
      }
      const revealedKeys = revealed === 0 ? [] : await keysOf(log, record, revealed, say);
      const files = new TileFiles(paths.transparency);
      const proof = await makeInclusionProof({ files, verifier }, { record, leafIndex: record.position, revealedKeys });
      print(JSON.stringify(proof, undefined, 2));
      return SUCCESS;
    } finally {
      await log.close();
    }
  },
});

function parseWanted(wanted: string): { isEvent: boolean; position: number | undefined } {
  if (wanted.startsWith('$')) return { isEvent: true, position: undefined };
  const position = /^[0-9]+$/.test(wanted) ? Number(wanted) : Number.NaN;
  if (!Number.isSafeInteger(position)) throw new UsageError(`${wanted} is neither an event id nor a position`);
  return { isEvent: false, position };
}

async function find(log: ReadOnlyLog, eventId: string, signal: AbortSignal): Promise<number | undefined> {
  const progress = startProgress({ label: 'Looking for the event', unit: 'records' });
  try {
    return await findRecordOfEvent(log, eventId, { onProgress: (done, total) => progress.update(done, total), signal });
  } finally {
    progress.finish();
  }
}

async function keysOf(
  log: ReadOnlyLog,
  record: RawRecord,
  revealed: number,
  say: (line: string) => void,
): Promise<(Buffer | undefined)[]> {
  const keys = await log.sectionKeys(record);
  return keys.slice(0, revealed).map((key, index) => {
    if (key === null) say(`Section ${index} is erased: its key is destroyed, so the proof cannot open it.`);
    return key ?? undefined;
  });
}
