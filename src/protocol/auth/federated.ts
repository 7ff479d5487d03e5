import { serverNameOf } from '../identifiers.ts';
import type { RoomState } from './room-state.ts';
import { type Rejection, reject } from './types.ts';

/**
 * Whether a user may have to do with a room that can be closed to other servers than its creator's. v1–v11: 3, v12: 4.
 * The letter asks it of senders, and takes `false` alone to close a room; the network asks it of who a membership is about
 * too, and takes anything but `true` to close a room.
 */
export function checkFederatedWith(userId: string, { create }: RoomState): Rejection | undefined {
  const federate = create.content['m.federate'];
  if (federate === undefined || federate === true || serverNameOf(userId) === serverNameOf(create.sender)) {
    return undefined;
  }
  return reject(
    'notFederated',
    `The room is closed to other servers than ${serverNameOf(create.sender)}, and ${userId} is on another.`,
  );
}
