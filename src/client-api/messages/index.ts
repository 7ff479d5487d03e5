import { getEvent } from '../events/event.ts';
import { joinedMembers } from '../events/joined-members.ts';
import { members } from '../events/members.ts';
import { getState } from '../events/state.ts';
import { getStateEvent } from '../events/state-event.ts';
import { relations } from '../relations/relations.ts';
import { search } from '../search/search.ts';
import { threads } from '../threads/threads.ts';
import { searchUsers } from '../user-directory/search-users.ts';
import { eventContext } from './context.ts';
import { messages } from './messages.ts';
import { timestampToEvent } from './timestamp-to-event.ts';

/** Reading rooms: their history, what relates to what, single events, state and members, and finding what was said and who is there. */
export const messageEndpoints = [
  messages,
  eventContext,
  relations,
  threads,
  search,
  searchUsers,
  timestampToEvent,
  getEvent,
  getState,
  getStateEvent,
  members,
  joinedMembers,
];
