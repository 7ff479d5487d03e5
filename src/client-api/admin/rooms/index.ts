import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deleteRoom, deleteRoomLater, roomDeletion, roomDeletions } from './delete-room.ts';
import { eventAudience } from './event-audience.ts';
import { forwardExtremities, mergeForwardExtremities } from './forward-extremities.ts';
import { joinUserToRoom } from './join-room.ts';
import { listRooms } from './list-rooms.ts';
import { makeRoomAdmin } from './make-room-admin.ts';
import { purgeHistory, purgeHistoryStatus } from './purge-history.ts';
import { getRoomBlock, putRoomBlock } from './room-block.ts';
import { roomDetails } from './room-details.ts';
import { roomHierarchy } from './room-hierarchy.ts';
import { roomMembers, roomState } from './room-state.ts';
import { fetchEvent, roomEventContext, roomMessages } from './room-timeline.ts';
import { roomTimestampToEvent } from './room-timestamp.ts';

/** Rooms, as administrators see and change them. */
export const adminRoomEndpoints: readonly Endpoint<Context>[] = [
  listRooms,
  roomDetails,
  roomMembers,
  roomState,
  roomMessages,
  roomEventContext,
  fetchEvent,
  getRoomBlock,
  putRoomBlock,
  deleteRoom,
  deleteRoomLater,
  roomDeletions,
  roomDeletion,
  purgeHistory,
  purgeHistoryStatus,
  makeRoomAdmin,
  joinUserToRoom,
  forwardExtremities,
  mergeForwardExtremities,
  roomHierarchy,
  roomTimestampToEvent,
  eventAudience,
];
