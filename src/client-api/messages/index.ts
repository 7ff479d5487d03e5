import { getEvent } from '../events/event.ts';
import { joinedMembers } from '../events/joined-members.ts';
import { members } from '../events/members.ts';
import { getState } from '../events/state.ts';
import { getStateEvent } from '../events/state-event.ts';
import { relations } from '../relations/relations.ts';
import { search } from '../search/search.ts';
import { threads } from '../threads/threads.ts';
import { eventContext } from './context.ts';
import { messages } from './messages.ts';

/** Reading a room: its history, what relates to what, single events, its state and its members. */
export const messageEndpoints = [
  messages,
  eventContext,
  relations,
  threads,
  search,
  getEvent,
  getState,
  getStateEvent,
  members,
  joinedMembers,
];
