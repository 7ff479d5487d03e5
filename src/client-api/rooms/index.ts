import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { ban } from './ban.ts';
import { createRoom } from './create-room.ts';
import { forget } from './forget.ts';
import { invite } from './invite.ts';
import { joinByIdOrAlias } from './join-by-id-or-alias.ts';
import { joinRoom } from './join-room.ts';
import { joinedRooms } from './joined-rooms.ts';
import { kick } from './kick.ts';
import { knock } from './knock.ts';
import { leave } from './leave.ts';
import { mutualRooms } from './mutual-rooms.ts';
import { postEvent } from './post-event.ts';
import { postRedaction } from './post-redaction.ts';
import { putState } from './put-state.ts';
import { redactEvent } from './redact-event.ts';
import { sendEvent } from './send-event.ts';
import { unban } from './unban.ts';
import { upgrade } from './upgrade.ts';

/** Making rooms, coming and going, and what is sent into them. */
export const roomEndpoints: readonly Endpoint<Context>[] = [
  createRoom,
  joinRoom,
  joinByIdOrAlias,
  knock,
  leave,
  forget,
  invite,
  kick,
  ban,
  unban,
  sendEvent,
  putState,
  redactEvent,
  postEvent,
  postRedaction,
  joinedRooms,
  upgrade,
  mutualRooms,
];
