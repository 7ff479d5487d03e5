import type { Position } from '#streams/event-log.ts';

/** The branch number of the main line. */
export const MAIN_LINE = 0;

/** What a row says where a change took the event of a key away and put none in its place. No event has this position. */
export const NO_EVENT: Position = 2 ** 48 - 1;

/**
 * One state of a room, for ever: what a branch held after its `version`-th change. {@link MAIN_LINE} at version 0 is the
 * state of a room without any event.
 */
export interface StateRef {
  readonly branch: number;
  readonly version: number;
}

/** A key of a state map. */
export interface StateKey {
  readonly type: string;
  readonly stateKey: string;
}

/** A key and the event that it is given; `undefined` takes its event away. */
export interface StateChange extends StateKey {
  readonly event: Position | undefined;
}

/** A key and the event under it. */
export interface StateEntry extends StateKey {
  readonly event: Position;
}

/** A reference names a branch that the room does not have: it is of another room, or of one that was removed. */
export class UnknownStateRef extends Error {
  override readonly name = 'UnknownStateRef';

  constructor(room: Position, { branch, version }: StateRef) {
    super(`room ${room} has no state branch ${branch} (asked for version ${version} of it)`);
  }
}

/** Whether two references are one. Different references can still mean equal states. */
export function isSameRef(a: StateRef, b: StateRef): boolean {
  return a.branch === b.branch && a.version === b.version;
}
