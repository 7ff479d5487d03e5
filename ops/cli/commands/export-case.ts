import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { dataPaths } from '#src/data-paths.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { readSigner } from '#streams/transparency/signing-key.ts';
import { ExportRefused } from '../../export/errors.ts';
import { exportCase } from '../../export/export-case.ts';
import { recordExport } from '../../export/on-record.ts';
import { roomsInQuestion } from '../../export/rooms-in-question.ts';
import { readDataFolder, roomNamed } from '../../rooms/data-folder.ts';
import { defineCommand, type ExitStatus, FINDING, SUCCESS, UsageError } from '../command.ts';
import { count, startProgress } from '../progress.ts';
import { isSaid } from '../record-read.ts';
import { parseTime, sayingWhatIsNotThere } from '../stored-rooms.ts';

/** `stele export case` */
export const command = defineCommand({
  name: 'export case',
  summary: 'Export what people wrote, or what rooms hold, with the proof that it is whole',
  usage: '',
  description: `
Writes a folder: signed events as JSON lines, pages for a browser (html/index.html), CSV, Parquet, RSMF for review platforms, the media
with their SHA-256, who was a member when, and the proofs. 'stele export verify DIR' checks it, offline. Edits and redactions of
what is asked for come along, whoever made them and whenever. Events that are end-to-end encrypted are counted and their rooms are
named.

The same question about the same checkpoint gives the same bytes. A run that was cut short goes on where it was when the same
command is given again. That an export was made, of what, why and under which case, is put on record before anything is read. Works
while the server runs.`,
  examples: [
    "export case --case C-17 --reason 'lawsuit' --user @ann:example.org --from 2026-01-01T00:00:00Z --out ./C-17",
  ],
  options: {
    case: { type: 'string', value: 'ID', description: 'The case that the export belongs to; required' },
    reason: { type: 'string', value: 'TEXT', description: 'Why it is made, for the record; required' },
    out: {
      type: 'string',
      value: 'DIR',
      description: 'Where it goes: an empty folder, or one to be finished; required',
    },
    user: {
      type: 'string',
      value: '@USER',
      description: 'What this user did, or had done to them; may be repeated',
      multiple: true,
    },
    room: {
      type: 'string',
      value: 'ROOM',
      description: 'What happened in this room, by id or alias; may be repeated',
      multiple: true,
    },
    from: {
      type: 'string',
      value: 'TIME',
      description: 'Sent at this time or later: 2026-07-04T12:00:00Z, or milliseconds',
    },
    to: { type: 'string', value: 'TIME', description: 'Sent before this time' },
    checkpoint: {
      type: 'string',
      value: 'FILE',
      description: 'A signed head of the log that was kept',
      defaultText: 'the newest',
    },
    everything: { type: 'boolean', description: 'All rooms of the server, where neither --user nor --room is given' },
  },
  printsData: true,
  run: ({ options, loadConfig, json, print, say, signal }) =>
    sayingWhatIsNotThere(say, async (): Promise<ExitStatus> => {
      const { case: caseId, reason, out, user, room } = options;
      if (!isSaid(caseId) || !isSaid(reason) || !out) throw new UsageError('--case, --reason and --out are required');
      if (user.length + room.length === 0 && !options.everything)
        throw new UsageError('say of whom (--user) or of which rooms (--room), or --everything');
      const fromMs = options.from === undefined ? undefined : parseTime(options.from);
      const toMs = options.to === undefined ? undefined : parseTime(options.to);
      const config = await loadConfig();
      const paths = dataPaths(config.data_dir);
      const checkpoint = options.checkpoint === undefined ? undefined : await readFile(options.checkpoint, 'utf8');
      const signer = await readSigner(paths.logSigningKey);
      if (signer === undefined) {
        say(`stele: ${paths.logSigningKey} is missing: start the server once, it makes the file`);
        return FINDING;
      }
      const roomIds = await readDataFolder(config.data_dir, async ({ reader }) =>
        roomsInQuestion(reader, { users: user, rooms: room }).map((one) => one.room.roomId),
      );
      const asked = { users: user, rooms: room, fromMs, toMs, folder: resolve(out), roomIds };
      await recordExport(config, { caseId, reason, ...asked });
      return readDataFolder(config.data_dir, async ({ reader }): Promise<ExitStatus> => {
        const log = await openLogReadOnly({ folder: paths.log });
        const progress = startProgress({ label: 'Exporting', unit: 'records' });
        try {
          const manifest = await exportCase({
            folder: out,
            caseId,
            query: {
              users: user,
              rooms: room.map((name) => roomNamed(reader, name).roomId),
              ...(fromMs !== undefined && { fromMs }),
              ...(toMs !== undefined && { toMs }),
            },
            data: { reader },
            log,
            transparencyFolder: paths.transparency,
            mediaFolder: paths.media,
            remoteMediaFolder: paths.remoteMedia,
            serverName: config.server_name,
            signer,
            ...(checkpoint !== undefined && { checkpoint }),
            onProgress: (step, done, total) => {
              if (step === 'Collecting') progress.update(done, total);
            },
            signal,
          });
          progress.finish();
          const { counts } = manifest;
          if (json)
            print(JSON.stringify({ folder: resolve(out), ...counts, encrypted_rooms: manifest.encrypted_rooms }));
          say(
            `${count(counts.exported)} events of ${count(counts.records)} records in ${count(counts.rooms)} rooms are in ${out}; ` +
              `${count(counts.encrypted_events)} of them are end-to-end encrypted, of ${count(counts.destroyed)} the content was destroyed, ` +
              `${count(counts.media_missing)} of ${count(counts.media)} media are not here.`,
          );
          return SUCCESS;
        } catch (error) {
          if (!(error instanceof ExportRefused)) throw error;
          say(`stele: ${error.message}`);
          return FINDING;
        } finally {
          progress.finish();
          await log.close();
        }
      });
    }),
});
