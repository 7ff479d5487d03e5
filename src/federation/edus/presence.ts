import { sharesRoomWith } from '#projections/encryption/remote-devices.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import { MAX_STATUS_LENGTH, PRESENCE_STATES, type RemotePresence } from '#src/ephemeral/presence.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { EduRefused, userOf } from './checks.ts';

/** Users in one EDU that are looked at. */
export const MAX_PRESENCES = 500;

/** Presences that are kept of people with whom nobody here shares a room yet. */
export const MAX_EARLY = 1000;

type PresenceContext = Pick<Context, 'reader' | 'serverName' | 'presence'>;

/**
 * `m.presence`. https://spec.matrix.org/v1.19/server-server-api/#presence
 *
 * Of somebody with whom nobody here shares a room nobody here is told. But a server says who is there as soon as one of our users
 * has joined a room through it, which may be sooner than we know of it.
 */
export class RemotePresences {
  readonly #context: PresenceContext;
  /** By user id, the oldest first. */
  readonly #early = new Map<string, RemotePresence>();

  constructor(context: PresenceContext) {
    this.#context = context;
  }

  readonly handler: EduHandler = (origin, { push }) => {
    if (!Array.isArray(push)) throw new EduRefused('it has no list of users');
    if (!this.#context.presence.isEnabled) return;
    for (const entry of (push as readonly JsonValue[]).slice(0, MAX_PRESENCES)) {
      if (isJsonObject(entry)) this.#receive(origin, entry);
    }
  };

  /** A user of this server has come into a room: of those in it something may have been heard already. */
  welcome(): void {
    const { reader, serverName, presence } = this.#context;
    for (const [userId, said] of this.#early) {
      if (!sharesRoomWith(reader, userId, serverName)) continue;
      this.#early.delete(userId);
      presence.receive(userId, said);
    }
  }

  #receive(origin: string, { user_id: user, ...said }: JsonObject): void {
    const { reader, serverName, presence } = this.#context;
    const userId = userOf(origin, user);
    const state = PRESENCE_STATES.find((known) => known === said.presence);
    if (state === undefined) return;
    const { last_active_ago: ago, status_msg: status, currently_active: isActive } = said;
    const heard: RemotePresence = {
      presence: state,
      lastActiveAgoMs: typeof ago === 'number' && ago >= 0 ? Math.trunc(ago) : undefined,
      isCurrentlyActive: isActive === true,
      statusMsg: typeof status === 'string' ? status.slice(0, MAX_STATUS_LENGTH).toWellFormed() : undefined,
    };
    this.#early.delete(userId);
    if (sharesRoomWith(reader, userId, serverName)) {
      presence.receive(userId, heard);
      return;
    }
    this.#early.set(userId, heard);
    const [oldest] = this.#early.keys();
    if (this.#early.size > MAX_EARLY && oldest !== undefined) this.#early.delete(oldest);
  }
}
