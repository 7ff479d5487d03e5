import { compareCodePoints } from '#protocol/canonical-json.ts';
import type { StateEntry } from '#protocol/state-resolution/index.ts';
import { applyEvents, type ForkResolution } from '../../rooms/apply-events.ts';
import { readEventIds } from '../../rooms/read-files.ts';
import { resolveGivenStates } from '../../rooms/resolve-sets.ts';
import { traceLines } from '../../rooms/trace.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { jsonArray } from '../json-array.ts';
import { count } from '../progress.ts';
import { PDUS_OPTION, ROOM_VERSION_OPTION, readRoom, sayingWhatIsWrong } from '../room-files.ts';

/** `stele rooms resolve` */
export const command = defineCommand({
  name: 'rooms resolve',
  summary: 'Resolve the state of a room from files, offline',
  usage: '--room-version N --pdus FILE… [--state FILE --state FILE…]',
  description: `
Prints the resolved state as a JSON array of {type, state_key, event_id}, sorted by type, then state key.

With two or more --state it resolves those states with each other; none of the events counts as rejected. Without --state it
applies the PDUs in topological order as a server that has them all does, resolves where forks meet, and gives the state after
all forward extremities; an event that its auth_events or the state before it do not allow stays out of the state.

A FILE of --pdus is a JSON array of PDUs as servers send them, one of --state a JSON array of event ids. An event_id that a PDU
carries is taken as it is, else it is computed; hashes and signatures are not checked. Needs no server, no data folder and no
configuration. Exit status 2 if the files make no sense.`,
  examples: ['rooms resolve --room-version 11 --pdus room.json --state ours.json theirs.json --trace'],
  options: {
    ...ROOM_VERSION_OPTION,
    ...PDUS_OPTION,
    state: { type: 'string', value: 'FILE…', list: true, description: 'Files of event ids, each a state to resolve' },
    trace: {
      type: 'boolean',
      description: 'Say on standard error what won each conflicted key and why, one JSON object a line with --json',
    },
  },
  usesConfig: false,
  printsData: true,
  run: ({ options, json, print, say }) =>
    sayingWhatIsWrong(say, async () => {
      const { state: stateFiles, trace } = options;
      if (stateFiles?.length === 1) throw new UsageError('--state is for two states or more; one is resolved already');
      const { rules, events } = await readRoom(options);
      const showTrace = (fork: ForkResolution, heading?: string): void => {
        const { at, after, resolution } = fork;
        if (json) say(JSON.stringify({ at: at ?? null, after, changes: resolution.changes, steps: resolution.steps }));
        else for (const line of traceLines(heading ?? headingOf(fork), resolution)) say(line);
      };
      if (stateFiles === undefined) {
        const applied = applyEvents(events, { rules, ...(trace ? { onResolution: showTrace } : {}) });
        const { state, rejected, gaps } = applied;
        const others = events.size - applied.events;
        if (others > 0) say(`Left out, as of other rooms than most: ${count(others)} of ${count(events.size)} events.`);
        if (gaps > 0)
          say(`Events that follow others which are not in the files: ${count(gaps)}. The state can be wrong.`);
        if (rejected.length > 0) say(`Rejected: ${count(rejected.length)} of ${count(applied.events)} events.`);
        if (trace) {
          for (const { eventId, rule, reason, against } of rejected) {
            if (json) say(JSON.stringify({ rejected: eventId, rule, reason, against }));
            else say(`Rejected ${eventId} by rule ${rule}, ${AGAINST[against]}: ${reason}`);
          }
        }
        for (const line of stateLines(state)) print(line);
        return SUCCESS;
      }
      const states = [];
      for (const file of stateFiles) states.push({ file, eventIds: await readEventIds(file) });
      const { state, ...resolution } = resolveGivenStates(states, events, { rules, trace });
      if (trace) showTrace({ at: undefined, after: stateFiles, resolution }, `${stateFiles.join(', ')} are resolved:`);
      for (const line of stateLines(state)) print(line);
      return SUCCESS;
    }),
});

const AGAINST = { auth_events: 'held against its auth events', state_before: 'held against the state before it' };

function headingOf({ at, after }: ForkResolution): string {
  return `${at === undefined ? 'At the end of the room' : `Before ${at}`} the states after ${after.join(', ')} are resolved:`;
}

function stateLines(state: readonly StateEntry[]): Iterable<string> {
  const sorted = state.toSorted(
    (a, b) => compareCodePoints(a.type, b.type) || compareCodePoints(a.stateKey, b.stateKey),
  );
  return jsonArray(sorted.map(({ type, stateKey, eventId }) => ({ type, state_key: stateKey, event_id: eventId })));
}
