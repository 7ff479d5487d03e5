import { verifyExport } from '../../export/verify-export.ts';
import { defineCommand, FINDING, SUCCESS } from '../command.ts';
import { count, startProgress } from '../progress.ts';

/** `stele export verify` */
export const command = defineCommand({
  name: 'export verify',
  summary: 'Check an export: offline, without a server, its data or any key of it',
  usage: 'DIR',
  description: `
Checks that the files are those that were signed; that each event is what a record of the log says, hashes included; that each
record is in the log that the checkpoint is of; and that of the rooms in question no record up to the last one is missing, exported
or left out for a reason. Exit status 1 if anything is wrong.

Without --key the key in the export is taken: that shows that the export agrees with itself, not whose it is. Give the key that you
got from the server's operator at another time, or compare it with that.`,
  examples: ["export verify ./C-17 --key 'example.org+1a2b3c4d+AQ…'"],
  options: {
    key: { type: 'string', value: 'KEY', description: 'The public key of the log, as `stele proof` prints it' },
  },
  positionals: { min: 1, max: 1 },
  usesConfig: false,
  printsData: true,
  run: async ({ options, positionals, json, print, say, signal }) => {
    const [folder = ''] = positionals;
    const progress = startProgress({ label: 'Checking', unit: 'records' });
    const report = await verifyExport({
      folder,
      ...(options.key !== undefined && { trustedKey: options.key }),
      onProgress: (done, total) => progress.update(done, total),
      signal,
    }).finally(() => progress.finish());
    const isRight = report.findings.length === 0;
    if (json) {
      print(JSON.stringify({ ok: isRight, ...report }));
      return isRight ? SUCCESS : FINDING;
    }
    for (const finding of report.findings) say(finding);
    if (report.moreFindings > 0) say(`… and ${count(report.moreFindings)} more.`);
    if (!isRight || report.manifest === undefined) return FINDING;
    const { manifest, events, records, files } = report;
    say(
      `Whole: case ${manifest.case_id}, ${count(events)} events of ${count(records)} records in ${count(manifest.rooms.length)} rooms, ` +
        `${count(files)} files, from the log ${manifest.log.origin} of ${count(manifest.log.size)} records.`,
    );
    if (manifest.encrypted_rooms.length > 0) {
      say(
        `${count(manifest.counts.encrypted_events)} events are end-to-end encrypted, in ${manifest.encrypted_rooms.join(', ')}.`,
      );
    }
    say(
      report.isKeyTrusted
        ? `Signed with the key that you gave.`
        : `Signed with the key in the export, ${manifest.log.key}: compare it with one that you got elsewhere (--key).`,
    );
    return SUCCESS;
  },
});
