/** The tables of states beside the main line, which is in `rooms.state` and `rooms.state-versions`. */
import { type AnyTable, bytes, defineTable, msgpack, str, tuple, u32, u48 } from '#projections/engine/table.ts';
import type { ValueCodec } from '#projections/engine/values.ts';
import type { StateRef } from './state-ref.ts';

/** The way from a state down to the main line. */
export interface StatePath {
  /** What lies over the main line, the nearest first: the first of them that knows a key has the say. */
  readonly levels: readonly StateRef[];
  /** The version of the main line that all of it rests on. */
  readonly base: number;
}

const U32_BYTES = 4;

/** A path as 32-bit numbers: the base, then branch and version of each level. */
const statePath: ValueCodec<StatePath> = {
  encode({ levels, base }) {
    const stored = Buffer.allocUnsafe(U32_BYTES * (1 + 2 * levels.length));
    let at = stored.writeUInt32BE(base, 0);
    for (const { branch, version } of levels) at = stored.writeUInt32BE(version, stored.writeUInt32BE(branch, at));
    return stored;
  },
  decode(stored, length) {
    const levels: StateRef[] = [];
    for (let at = U32_BYTES; at < length; at += 2 * U32_BYTES)
      levels.push({ branch: stored.readUInt32BE(at), version: stored.readUInt32BE(at + U32_BYTES) });
    return { levels, base: stored.readUInt32BE(0) };
  },
};

const stateRef: ValueCodec<StateRef> = {
  encode({ branch, version }) {
    const stored = Buffer.allocUnsafe(2 * U32_BYTES);
    stored.writeUInt32BE(version, stored.writeUInt32BE(branch, 0));
    return stored;
  },
  decode: (stored) => ({ branch: stored.readUInt32BE(0), version: stored.readUInt32BE(U32_BYTES) }),
};

export const branches = defineTable({
  name: 'rooms.state-branches',
  key: tuple<[room: number, branch: number]>(u48, u32),
  value: statePath,
  why: 'All that a branch rests on in one row, so that a look-up knows where to seek without climbing.',
});

export const branchState = defineTable({
  name: 'rooms.state-branch-keys',
  key: tuple<[room: number, branch: number, type: string, stateKey: string, version: number]>(u48, u32, str, str, u32),
  value: u48,
  why: 'The same as rooms.state, for the few changes of a branch: by branch first, so that it reads as a map.',
});

export const branchVersions = defineTable({
  name: 'rooms.state-branch-versions',
  key: tuple<[room: number, branch: number, version: number]>(u48, u32, u32),
  value: u48,
  why: 'The changes of a branch in order: its last row is its newest version, and a range of it the difference of two.',
});

export const removals = defineTable({
  name: 'rooms.state-removals',
  key: tuple<[room: number, branch: number, version: number]>(u48, u32, u32),
  value: msgpack<readonly [type: string, stateKey: string]>(),
  why: 'A change that leaves no event has none to tell its key; such changes are rare, so the others do not pay for it.',
});

export const twins = defineTable({
  name: 'rooms.state-twins',
  key: tuple<[room: number, branch: number, version: number]>(u48, u32, u32),
  value: stateRef,
  why: 'A state that was written again nearer to the main line is written once, however many branches grow from it.',
});

/** Bytes of a hash of changes: enough that nobody finds two lists of changes with one hash. */
export const CHANGES_HASH_BYTES = 16;

export const extensions = defineTable({
  name: 'rooms.state-extensions',
  key: tuple<[room: number, branch: number, version: number, changes: Uint8Array]>(
    u48,
    u32,
    u32,
    bytes(CHANGES_HASH_BYTES),
  ),
  value: stateRef,
  why: 'Events that all follow the same forks come after one state: what it takes to merge them is written once.',
});

export const stateTables: readonly AnyTable[] = [branches, branchState, branchVersions, removals, twins, extensions];
