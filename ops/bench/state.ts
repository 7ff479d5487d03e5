/** What a state change and a look-up cost, in rooms of any size. */
import { defineTable, str, tuple, u32, u48 } from '#projections/engine/table.ts';
import {
  appendToMainLine,
  extendState,
  MAIN_LINE,
  type StateChange,
  type StateRef,
  stateEntriesAt,
  stateEventAt,
  stateTables,
} from '#projections/rooms/state/index.ts';
import { state, stateVersions } from '#projections/rooms/tables.ts';
import type { BenchResult } from './result.ts';
import { cpuUs, cpuUsPerRun, openRoomTables, type RoomTables, seededRandom } from './room-tables.ts';

const ROOM = 1;
const SIZES = [10, 1_000, 100_000] as const;
/** State changes after everybody has joined. */
const CHANGES = 20_000;
/** Records that one transaction of the projection engine takes in, about. */
const CHANGES_PER_COMMIT = 100;
const BRANCHES = 100;
const CHANGES_PER_BRANCH = 20;
const LOOK_UPS = 20_000;

const bareRows = defineTable({
  name: 'bench.rows',
  key: tuple<[room: number, type: string, stateKey: string, version: number]>(u48, str, str, u32),
  value: u48,
  why: 'What the machine does with rows of that shape and nothing else.',
});
const bareList = defineTable({
  name: 'bench.list',
  key: tuple<[room: number, version: number]>(u48, u32),
  value: u48,
  why: 'What the machine does with rows of that shape and nothing else.',
});

export async function runStateBench(): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  for (const members of SIZES) {
    const tables = await openRoomTables([bareRows, bareList]);
    try {
      results.push(changeCost(tables, members));
      if (members === SIZES.at(-1)) results.push(lookUpCost(tables, members + CHANGES, members));
    } finally {
      await tables.close();
    }
  }
  const tables = await openRoomTables([bareRows, bareList]);
  try {
    results.push(givenStateCost(tables));
  } finally {
    await tables.close();
  }
  return results;
}

function memberChange(user: number, event: number): StateChange {
  return { type: 'm.room.member', stateKey: `@member${user}:bench.invalid`, event };
}

/** Everybody joins, then random members change something. */
function changeCost(tables: RoomTables, members: number): BenchResult {
  const random = seededRandom(members);
  const joins = Array.from({ length: members }, (_, user) => memberChange(user, 1000 + user));
  const rest = Array.from({ length: CHANGES }, (_, index) =>
    memberChange(Math.floor(random() * members), 1000 + members + index),
  );
  const changes = [...joins, ...rest];
  const timeOf = (from: number, put: (tx: Parameters<Parameters<RoomTables['write']>[0]>[0], at: number) => void) =>
    cpuUs(() => {
      for (let first = from; first < changes.length; first += CHANGES_PER_COMMIT) {
        tables.write((tx) => {
          const end = Math.min(first + CHANGES_PER_COMMIT, changes.length);
          for (let at = first; at < end; at += 1) put(tx, at);
        });
      }
    });
  const us = timeOf(0, (tx, at) => {
    appendToMainLine(tx, ROOM, at, [changes[at] as StateChange]);
  });
  const bareUs = timeOf(0, (tx, at) => {
    const { type, stateKey, event } = changes[at] as StateChange;
    tx.put(bareRows, [ROOM, type, stateKey, at + 1], event ?? 0);
    tx.put(bareList, [ROOM, at + 1], event ?? 0);
  });
  const bytes = tables.bytesOf([state, stateVersions, ...stateTables]) / changes.length;
  // Two keys and two values as they are encoded, without a page around them.
  const bareBytes = 6 + 'm.room.member'.length + 2 + (joins.at(-1)?.stateKey.length ?? 0) + 2 + 4 + 6 + 6 + 4 + 6;
  return {
    name: `state change in a room of ${members.toLocaleString('en')} members`,
    figure: bytes,
    unit: 'bytes',
    ceiling: bareBytes,
    ceilingName: 'keys and values alone',
    ratio: bytes / bareBytes,
    details: {
      changes: changes.length,
      'µs of CPU': us / changes.length,
      'µs of CPU of the same rows put barely': bareUs / changes.length,
    },
  };
}

function lookUpCost(tables: RoomTables, version: number, members: number): BenchResult {
  const random = seededRandom(3);
  const refs: StateRef[] = [];
  tables.write((tx) => {
    for (let branch = 0; branch < BRANCHES; branch += 1) {
      let ref: StateRef = { branch: MAIN_LINE, version: version - branch };
      for (let change = 0; change < CHANGES_PER_BRANCH; change += 1)
        ref = extendState(tx, ROOM, ref, [memberChange(Math.floor(random() * members), 1_000_000 + branch)]);
      refs.push(ref);
    }
  });
  // One that lies on as many branches as there may be.
  let deep: StateRef = { branch: MAIN_LINE, version };
  tables.write((tx) => {
    for (let level = 0; level < 8; level += 1) {
      extendState(tx, ROOM, deep, [memberChange(level, 2_000_000)]);
      deep = extendState(tx, ROOM, deep, [memberChange(level, 3_000_000)]);
    }
  });
  const keys = Array.from({ length: LOOK_UPS }, () => `@member${Math.floor(random() * members)}:bench.invalid`);
  const usOf = (refAt: (index: number) => StateRef): number =>
    cpuUsPerRun(() => {
      for (const [index, key] of keys.entries()) stateEventAt(tables.reader, ROOM, refAt(index), 'm.room.member', key);
    }) / LOOK_UPS;
  const onBranches = usOf((index) => refs[index % BRANCHES] as StateRef);
  const main = { branch: MAIN_LINE, version };
  const bareUs =
    cpuUsPerRun(() => {
      for (const key of keys) tables.reader.seekLast(bareRows, [ROOM, 'm.room.member', key]);
    }) / LOOK_UPS;
  let entries = 0;
  const listUs = cpuUs(() => {
    for (const _ of stateEntriesAt(tables.reader, ROOM, refs[0] as StateRef)) entries += 1;
  });
  return {
    name: `look-up of a key, ${members.toLocaleString('en')} members and ${BRANCHES} open branches`,
    figure: onBranches,
    unit: 'µs',
    ceiling: bareUs,
    ceilingName: 'one bare seek',
    ratio: onBranches / bareUs,
    details: {
      'on the main line': usOf(() => main),
      'on the deepest branch': usOf(() => deep),
      'µs an entry of the whole state': listUs / entries,
    },
  };
}

/** The state of a room as a peer gives it to who joins. */
function givenStateCost(tables: RoomTables): BenchResult {
  const members = SIZES[2];
  const random = seededRandom(5);
  const changes = Array.from({ length: members }, (_, user) => memberChange(user, 1000 + user)).sort(
    () => random() - 0.5,
  );
  const us = cpuUs(() => tables.write((tx) => void appendToMainLine(tx, ROOM, 0, changes)));
  const bareUs = cpuUs(() =>
    tables.write((tx) => {
      for (const [index, { type, stateKey, event }] of changes.entries()) {
        tx.put(bareRows, [ROOM, type, stateKey, index + 1], event ?? 0);
        tx.put(bareList, [ROOM, index + 1], event ?? 0);
      }
    }),
  );
  return {
    name: `a given state of ${members.toLocaleString('en')} entries`,
    figure: us / 1000,
    unit: 'ms',
    ceiling: bareUs / 1000,
    ceilingName: 'the same rows put barely',
    ratio: us / bareUs,
    details: { 'bytes an entry': tables.bytesOf([state, stateVersions, ...stateTables]) / members },
  };
}
