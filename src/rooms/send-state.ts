import { isRoomAlias } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Directory } from './directory.ts';
import type { EventToSend } from './event-writer.ts';
import { type JoinContext, settleIn, vouchedContent } from './membership.ts';
import type { SentEvent } from './rooms.ts';

export type SendStateContext = JoinContext;

/**
 * Sets a piece of a room's state. Setting what is there already changes nothing and gives the event that set it.
 *
 * @throws {MatrixError} as {@link Rooms.send}; M_BAD_ALIAS for a canonical alias that does not point to the room.
 */
export async function sendState(
  context: SendStateContext,
  roomId: string,
  event: EventToSend & { readonly stateKey: string },
): Promise<SentEvent> {
  const current = context.rooms.state(roomId, event.type, event.stateKey);
  if (event.type === 'm.room.canonical_alias') checkAliases(context.directory, roomId, event.content, current?.content);
  if (current?.sender === event.sender && JSON.stringify(current.content) === JSON.stringify(event.content)) {
    return { eventId: current.eventId };
  }
  const content = event.type === 'm.room.member' ? vouchedContent(context, roomId, event) : event.content;
  const sent = await context.rooms.send(roomId, { ...event, content });
  const isJoin = event.type === 'm.room.member' && content['membership'] === 'join';
  if (isJoin && current?.content['membership'] !== 'join') await settleIn(context, event.sender, roomId);
  return sent;
}

/** Source: client-server API, `m.room.canonical_alias` and `PUT …/state/…`: new aliases must point to the room. */
function checkAliases(
  directory: Directory,
  roomId: string,
  content: EventToSend['content'],
  before: EventToSend['content'] | undefined,
): void {
  const known = new Set(aliasesIn(before ?? {}));
  for (const alias of aliasesIn(content)) {
    if (typeof alias !== 'string' || !isRoomAlias(alias)) {
      throw new MatrixError('M_INVALID_PARAM', 'The canonical alias and its alternatives are room aliases.');
    }
    if (known.has(alias)) continue;
    try {
      if (directory.resolve(alias).roomId === roomId) continue;
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
    }
    throw new MatrixError('M_BAD_ALIAS', `The alias ${alias} does not point to this room.`);
  }
}

function aliasesIn(content: EventToSend['content']): unknown[] {
  if (!isJsonObject(content)) return [];
  const { alias, alt_aliases: alternatives } = content;
  return [
    ...(alias === undefined || alias === null || alias === '' ? [] : [alias]),
    ...(Array.isArray(alternatives) ? alternatives : []),
  ];
}
