/** Shapes of what goes into backups. */
import { z } from 'zod';
import type { BackedUpKey } from '#projections/encryption/backup-records.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';

/** Longest room id or session id, in bytes. */
const MAX_ID_BYTES = 255;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** One key. What is encrypted in it is for clients to know. */
export const keySchema = z.object({
  first_message_index: count,
  forwarded_count: count,
  is_verified: z.boolean(),
  session_data: z.json(),
});

/** The keys of a room. */
export const roomKeysSchema = z.object({ sessions: z.record(z.string(), keySchema) });

/** The query of requests about keys. */
export const versionQuery = z.object({ version: queryText() });

/** A key for the log. @throws {MatrixError} `M_INVALID_PARAM` if an id is too long */
export function backedUpKeyOf(roomId: string, sessionId: string, key: z.output<typeof keySchema>): BackedUpKey {
  if (Math.max(Buffer.byteLength(roomId), Buffer.byteLength(sessionId)) > MAX_ID_BYTES) {
    throw invalidParam(`Room ids and session ids have at most ${MAX_ID_BYTES} bytes.`);
  }
  return {
    roomId,
    sessionId,
    firstMessageIndex: key.first_message_index,
    forwardedCount: key.forwarded_count,
    isVerified: key.is_verified,
    sessionDataJson: JSON.stringify(key.session_data),
  };
}
