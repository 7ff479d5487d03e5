import { blockerOf } from '#projections/directory/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { forbidden } from '#src/http/errors.ts';

/** @throws {MatrixError} `M_FORBIDDEN` for a room that an administrator of this server has blocked. */
export function requireUnblocked(reader: Reader, roomId: string): void {
  if (blockerOf(reader, roomId) !== undefined) throw forbidden('This room is blocked on this server.');
}
