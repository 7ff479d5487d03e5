/**
 * Messages of the server to its users, each in a room of their own that the server made.
 * https://spec.matrix.org/v1.19/client-server-api/#server-notices
 */
import { randomBytes } from 'node:crypto';
import { findRoom, membershipOf, type Room, roomById, roomsOf, stateEvent } from '#projections/rooms/queries.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { setTag } from '#src/client-api/account-data/tags.ts';
import { KeyedLock } from '#src/commands/keyed-lock.ts';
import type { Config } from '#src/config/schema.ts';
import type { Context } from '#src/context.ts';
import { MatrixError, notFound } from '#src/http/errors.ts';
import { createRoom } from '#src/rooms/create-room.ts';
import { invite } from '#src/rooms/membership.ts';
import type { Position } from '#streams/event-log.ts';

/** By this tag clients know the room. */
const TAG = 'm.server_notice';
const PASSWORD_BYTES = 48;
/** Users cannot answer, nor change anything. */
const LEVELS = { users_default: -10, events_default: 0 } as const;

/** What is to be sent to a user. */
export interface Notice {
  readonly type: string;
  /** Undefined for a message event. */
  readonly stateKey: string | undefined;
  readonly content: JsonObject;
  /** Of whoever sends it; the same is sent once. */
  readonly transaction: { readonly deviceId: string; readonly txnId: string } | undefined;
}

export class ServerNotices {
  readonly #config: Config['server_notices'];
  readonly #serverName: string;
  /** One notice at a time to a user, so that there is one room. */
  readonly #lock = new KeyedLock();

  constructor(config: Pick<Config, 'server_notices' | 'server_name'>) {
    this.#config = config.server_notices;
    this.#serverName = config.server_name;
  }

  /**
   * Sends a notice to a user of this server, who is invited to the room of notices where they are not in it; gives the event's id.
   * @throws {MatrixError} `M_UNKNOWN` (400) where notices are not turned on, `M_NOT_FOUND` for a user who has no account here.
   */
  async send(context: Context, userId: string, notice: Notice): Promise<string> {
    const sender = this.#sender();
    if (sender === undefined) {
      throw new MatrixError('M_UNKNOWN', 'Server notices are not turned on here.', { status: 400 });
    }
    if (context.accounts.find(userId)?.isDeactivated !== false) throw notFound('There is no such user here.');
    return this.#lock.run(userId, async () => {
      await this.#prepareSender(context, sender);
      const roomId = await this.#roomFor(context, sender, userId);
      const { type, stateKey, content, transaction } = notice;
      const event = { sender, type, content, ...(stateKey !== undefined && { stateKey }) };
      return (await context.rooms.send(roomId, event, transaction)).eventId;
    });
  }

  /** Throws `M_CANNOT_LEAVE_SERVER_NOTICE_ROOM` for a user who would turn down the invite to their room of notices. */
  requireMayLeave({ reader }: Pick<Context, 'reader'>, userId: string, roomId: string): void {
    const room = findRoom(reader, roomId);
    if (room === undefined || creatorOf(reader, room.id) !== this.#sender()) return;
    if (membershipOf(reader, room.id, userId) === 'invite') throw new MatrixError('M_CANNOT_LEAVE_SERVER_NOTICE_ROOM');
  }

  #sender(): string | undefined {
    const { localpart } = this.#config;
    return localpart === null ? undefined : `@${localpart}:${this.#serverName}`;
  }

  /** Makes the account that notices come from. Nobody knows its password. */
  async #prepareSender({ accounts, profiles }: Context, sender: string): Promise<void> {
    if (accounts.find(sender) !== undefined) return;
    await accounts.register({
      username: this.#config.localpart ?? undefined,
      password: randomBytes(PASSWORD_BYTES).toString('base64url'),
      isAdmin: false,
      device: undefined,
    });
    await profiles.set(sender, 'displayname', this.#config.display_name);
  }

  async #roomFor(context: Context, sender: string, userId: string): Promise<string> {
    const known = noticeRoomOf(context, sender, userId);
    if (known !== undefined) {
      const membership = membershipOf(context.reader, known.id, userId);
      if (membership !== 'join' && membership !== 'invite') await invite(context, sender, known.roomId, userId);
      return known.roomId;
    }
    const roomId = await createRoom(context, sender, {
      visibility: 'private',
      preset: 'private_chat',
      name: this.#config.room_name,
      invitees: [userId],
      addresses: [],
      creationContent: {},
      initialState: [],
      isDirect: false,
      powerLevelContentOverride: LEVELS,
    });
    await setTag(context, userId, roomId, TAG, {});
    return roomId;
  }
}

/** The room in which a user has been sent notices; undefined before the first. */
function noticeRoomOf({ reader }: Context, sender: string, userId: string): Room | undefined {
  for (const { room } of roomsOf(reader, userId)) {
    if (creatorOf(reader, room) === sender) return roomById(reader, room);
  }
  return undefined;
}

function creatorOf(reader: Context['reader'], room: Position): string | undefined {
  return stateEvent(reader, room, 'm.room.create', '')?.sender;
}
