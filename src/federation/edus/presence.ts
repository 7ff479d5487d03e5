import { sharesRoomWith } from '#projections/encryption/remote-devices.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import { MAX_STATUS_LENGTH, PRESENCE_STATES } from '#src/ephemeral/presence.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { EduRefused, userOf } from './checks.ts';

/** Users in one EDU that are looked at. */
export const MAX_PRESENCES = 500;

type PresenceContext = Pick<Context, 'reader' | 'serverName' | 'presence'>;

/** `m.presence`. https://spec.matrix.org/v1.19/server-server-api/#presence */
export function presenceHandler(context: PresenceContext): EduHandler {
  return (origin, { push }) => {
    if (!Array.isArray(push)) throw new EduRefused('it has no list of users');
    if (!context.presence.isEnabled) return;
    for (const entry of (push as readonly JsonValue[]).slice(0, MAX_PRESENCES)) {
      if (isJsonObject(entry)) receive(context, origin, entry);
    }
  };
}

function receive({ reader, serverName, presence }: PresenceContext, origin: string, said: JsonObject): void {
  const userId = userOf(origin, said.user_id);
  const state = PRESENCE_STATES.find((known) => known === said.presence);
  // Of somebody with whom nobody here shares a room nobody here is told.
  if (state === undefined || !sharesRoomWith(reader, userId, serverName)) return;
  const { last_active_ago: ago, status_msg: status, currently_active: isActive } = said;
  presence.receive(userId, {
    presence: state,
    lastActiveAgoMs: typeof ago === 'number' && ago >= 0 ? Math.trunc(ago) : undefined,
    isCurrentlyActive: isActive === true,
    statusMsg: typeof status === 'string' ? status.slice(0, MAX_STATUS_LENGTH).toWellFormed() : undefined,
  });
}
