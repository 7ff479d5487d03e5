import { z } from 'zod';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { forbidden, MatrixError } from '#src/http/errors.ts';
import { queryInteger } from '#src/http/query.ts';
import { MAX_EVENT_BYTES } from '#src/rooms/event-writer.ts';
import { viewerOf } from '#src/sync/client-event.ts';

/** The parameter of the sending endpoints by which clients have an event sent later, in milliseconds. */
export const DELAY = 'org.matrix.msc4140.delay';

/** The query of the sending endpoints. */
export const delayQuery = z.looseObject({ [DELAY]: queryInteger({ min: 1 }).optional() });

/** An event for later. */
export interface EventForLater {
  readonly roomId: string;
  readonly type: string;
  readonly stateKey?: string;
  readonly txnId?: string;
  readonly content: JsonObject;
}

/**
 * Has an event sent later. Whether it may be sent is known when it is; only who is not in the room is turned away now.
 * @throws {MatrixError} `M_FORBIDDEN`, `M_TOO_LARGE`, and what DelayedEvents throws.
 */
export async function sendLater(
  { delayedEvents, rooms }: Pick<Context, 'delayedEvents' | 'rooms'>,
  requester: Requester,
  delayMs: number,
  event: EventForLater,
): Promise<object> {
  const { userId, deviceKey } = viewerOf(requester);
  if (rooms.state(event.roomId, 'm.room.member', userId)?.content['membership'] !== 'join') {
    throw forbidden('You are not in this room.');
  }
  const contentJson = JSON.stringify(event.content);
  if (Buffer.byteLength(contentJson) > MAX_EVENT_BYTES) throw new MatrixError('M_TOO_LARGE');
  const delayId = await delayedEvents.schedule({
    userId,
    roomId: event.roomId,
    type: event.type,
    stateKey: event.stateKey,
    delayMs,
    deviceKey,
    txnId: event.txnId,
    contentJson,
  });
  return { delay_id: delayId };
}
