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
 * Forks without end. A path has at most {@link MAX_LEVELS} branches. One more, and what lies below the nearest three is
 * written again as one branch, its *twin*, over the main line (over its newest version if that is nearer) or over the one or
 * two lowest branches, if those are so wide that copying them does not pay. A state has one twin, however many branches grow
 * from it. So somebody who forks off every event of his own fork makes the server write 200 bytes an event where it has 100
 * changes over the main line, 500 bytes where it has 1,000, and 1.6 KB where it has 10,000. The same is done, from
 * {@link WIDE_CHANGES} changes on, when the main line has meanwhile taken in what a branch holds.
 * What it takes to merge forks is written once, however many events follow the same ones.
 *
 * Costs: 130 to 155 bytes a change at 10 to 100,000 members; a look-up some 4 µs a seek; a difference some 5 µs a change.
 */
export { differenceBetween, MAX_COMPARED_STATES, type StateKeyDifference } from './difference.ts';
export { appendToMainLine, extendState, MAX_LEVELS, WIDE_CHANGES } from './extend.ts';
export { changesByVersion, keyOfChange } from './lines.ts';
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
