/**
 * The `pos` of an answer: `<sync token>~<connection>.<generation>.<answer>`. The sync token says what the client has seen of the
 * log and of what is never logged; the rest names the connection, the generation of what the server remembers of it, and counts
 * its answers.
 */
import { MatrixError } from '#src/http/errors.ts';
import { formatSyncToken, parseSyncToken, type SyncToken } from '#src/sync/tokens.ts';

export interface PositionToken {
  readonly seen: SyncToken;
  /** Names the connection; a few lower-case letters and digits. */
  readonly connection: string;
  /** Of the connection's memory, when the answer was made. */
  readonly generation: number;
  /** Counts the answers of the connection: of two that a client has got, the later one has the greater number. */
  readonly answer: number;
}

const TAIL = /^([0-9a-z]{1,32})\.(\d{1,15})\.(\d{1,15})$/;

export function formatPosition({ seen, connection, generation, answer }: PositionToken): string {
  return `${formatSyncToken(seen)}~${connection}.${generation}.${answer}`;
}

/** @throws {MatrixError} M_UNKNOWN_POS if it is not one of ours. */
export function parsePosition(text: string): PositionToken {
  const [head = '', tail = '', ...rest] = text.split('~');
  const match = TAIL.exec(tail);
  if (match === null || rest.length > 0) throw new MatrixError('M_UNKNOWN_POS');
  try {
    const [, connection = '', generation, answer] = match;
    return { seen: parseSyncToken(head), connection, generation: Number(generation), answer: Number(answer) };
  } catch {
    throw new MatrixError('M_UNKNOWN_POS');
  }
}
