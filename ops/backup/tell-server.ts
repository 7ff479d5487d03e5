import type { BackupRecord } from '#projections/backups/records.ts';
import type { Config } from '#src/config/schema.ts';
import { askServer } from '../cli/operator-request.ts';

/**
 * Has the server put on record what was done with a backup; where none runs, one is started for as long as that takes. What was
 * done stays done if that fails: it is said.
 */
export async function tellServer(config: Config, say: (line: string) => void, record: BackupRecord): Promise<void> {
  try {
    await askServer(config, '/_stele/operator/backups/record', { record });
  } catch (error) {
    say(`warning: this could not be put on record: ${error instanceof Error ? error.message : String(error)}`);
  }
}
