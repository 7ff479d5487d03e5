/**
 * The states of a room, as versions.
 *
 * What is stored. A room has a *main line*: its current state as it changed, one change a version, in two rows: by key
 * (`rooms.state`) and by version (`rooms.state-versions`). An event that does not follow the newest state, or a peer's
 * fork, makes a *branch*: the path down to the main line in one row, and its own changes in the same two forms. A state is
 * named by a {@link StateRef}, branch and version, which means the same for ever, so an event keeps the state before it
 * in a few bytes. A change may take a key's event away (resolution can end without one); it is stored as NO_EVENT.
 *
 * Why so. Nothing is ever copied for a state change of an unforked room: two rows whatever the size of the room. The event
 * of a key is one seek for each branch on the way and one on the main line. The difference of states is read off the lists
 * of changes between them.
 *
 * Forks without end. A path has at most {@link MAX_LEVELS} branches. One more, and what lies below its middle is written
 * as one branch over the main line, its *twin*: over the newest version of the main line if that is nearer. A state has
 * one twin, however many branches grow from it, and it is written only for the fourth branch above it; so somebody who does
 * nothing but fork makes the server write, for each event, a quarter of the changes that his fork has over the main line.
 * The same is done when a branch has grown wide and the main line has meanwhile taken in what it holds.
 * What it takes to merge forks is written once, however many events follow the same ones.
 *
 * Costs: about 130 bytes a change; a look-up some 4 µs a seek; a difference some microseconds a change.
 */
export { differenceBetween, MAX_COMPARED_STATES, type StateKeyDifference } from './difference.ts';
export { appendToMainLine, extendState, MAX_LEVELS, removeState, WIDE_CHANGES } from './extend.ts';
export { stateEntriesAt, stateEventAt } from './look-up.ts';
export {
  isSameRef,
  MAIN_LINE,
  NO_EVENT,
  type StateChange,
  type StateEntry,
  type StateKey,
  type StateRef,
  UnknownStateRef,
} from './state-ref.ts';
export { stateTables } from './tables.ts';
