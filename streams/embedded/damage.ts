/** How damage is told: the file, the offset, the record, and the command that helps. */
import { Damaged, type Position } from '../event-log.ts';

/** An error for bytes in a segment that are not what was written. */
export function damagedAt(file: string, offset: number, position: Position, what: string): Damaged {
  return new Damaged(
    `${file}, offset ${offset}, record ${position}: ${what}. Run \`stele verify --from ${Math.max(position, 0)}\` to see ` +
      'what else is affected, and put the file back from your backup.',
  );
}
