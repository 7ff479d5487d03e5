/** What a client may not relate to what. */
import type { Reader } from '#projections/engine/reader.ts';
import { ANNOTATION, annotationKeyOf, THREAD } from '#projections/relations/projection.ts';
import { annotationBy } from '#projections/relations/queries.ts';
import { transactionKey } from '#projections/rooms/keys.ts';
import type { Transaction } from '#projections/rooms/pdu-record.ts';
import { eventById, findRoom } from '#projections/rooms/queries.ts';
import { transactions } from '#projections/rooms/tables.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { MatrixError } from '#src/http/errors.ts';

/** An event that a client wants to send. */
export interface RelatingEvent {
  readonly sender: string;
  readonly type: string;
  readonly content: JsonObject;
}

/**
 * Turns down what the specification does not let clients send: the same reaction twice, and threads that begin at an event
 * which itself relates to another one. What was sent under the transaction before is let through: it is not sent again.
 *
 * @throws {MatrixError} M_DUPLICATE_ANNOTATION, or M_UNKNOWN with status 400.
 */
export function checkRelation(reader: Reader, roomId: string, event: RelatingEvent, transaction?: Transaction): void {
  const relatesTo = event.content['m.relates_to'];
  if (!isJsonObject(relatesTo)) return;
  const { rel_type: relType, event_id: parent } = relatesTo;
  if (typeof parent !== 'string' || (relType !== ANNOTATION && relType !== THREAD)) return;
  const refusal = relType === THREAD ? whyNoThread(reader, parent) : whyNoAnnotation(reader, roomId, event, parent);
  if (refusal === undefined) return;
  if (transaction && reader.has(transactions, transactionKey(event.sender, roomId, event.type, transaction))) return;
  throw refusal;
}

/** Source: client-server API, "Validation of m.thread relationships". */
function whyNoThread(reader: Reader, root: string): MatrixError | undefined {
  if (eventById(reader, root)?.relation === undefined) return undefined;
  return new MatrixError('M_UNKNOWN', 'A thread cannot begin at an event that itself relates to another one.', {
    status: 400,
  });
}

/** Source: client-server API, "Avoiding duplicate annotations". */
function whyNoAnnotation(
  reader: Reader,
  roomId: string,
  { sender, type, content }: RelatingEvent,
  parent: string,
): MatrixError | undefined {
  const key = annotationKeyOf(content);
  const room = key === undefined ? undefined : findRoom(reader, roomId);
  if (key === undefined || room === undefined) return undefined;
  const before = annotationBy(reader, room.id, parent, sender, { type, key });
  return before === undefined ? undefined : new MatrixError('M_DUPLICATE_ANNOTATION');
}
