import { getEvent } from '../events/event.ts';
import { joinedMembers } from '../events/joined-members.ts';
import { members } from '../events/members.ts';
import { getState } from '../events/state.ts';
import { getStateEvent } from '../events/state-event.ts';
import { eventContext } from './context.ts';
import { messages } from './messages.ts';

/** Reading a room: its history, single events, its state and its members. */
export const messageEndpoints = [messages, eventContext, getEvent, getState, getStateEvent, members, joinedMembers];
