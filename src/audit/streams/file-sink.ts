import { open } from 'node:fs/promises';
import type { AuditEntryJson } from '../entry-json.ts';
import type { AuditSink } from './sink.ts';

/**
 * Adds JSON lines to a file, synced before they count as sent. The file is opened for each write, so whoever rotates it by
 * renaming need tell nobody.
 */
export function fileSink(path: string): AuditSink {
  return {
    name: `file ${path}`,
    async send(entries: readonly AuditEntryJson[]) {
      const file = await open(path, 'a', 0o600);
      try {
        await file.appendFile(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
        await file.datasync();
      } finally {
        await file.close();
      }
    },
    close: async () => {},
  };
}
