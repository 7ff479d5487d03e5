import { readDataFolder } from '../../rooms/data-folder.ts';
import { type Explanation, explainEvent, type NamedEvent, type RuleFinding } from '../../rooms/explain-event.ts';
import type { ShownStateEvent } from '../../rooms/stored-state.ts';
import { quotedText } from '../../rooms/trace.ts';
import { defineCommand, type ExitStatus, SUCCESS } from '../command.ts';
import { count } from '../progress.ts';
import { READ_OPTIONS, recordRead } from '../record-read.ts';
import { sayingWhatIsNotThere } from '../stored-rooms.ts';

/** `stele rooms explain` */
export const command = defineCommand({
  name: 'rooms explain',
  summary: 'Say what the server thinks of an event, and why',
  usage: 'EVENT_ID',
  description: `
Prints the event's disposition with the rule that decided, what it follows and what authorises it, what the authorisation rules
say of it against its auth events, the state before it and the state that the room had when it came, and that state before and
after it. With --json one JSON object, with the content of that state, which needs a reason and a case, as it shows what people
wrote. They are on record. Works while the server runs.

Dispositions: accepted (on the timeline), backfilled (history that was fetched later), soft_failed (right where it stands, but
not by the room's state when it came: kept, never shown), rejected (against the rules), outlier (known without its place in the
graph), out_of_band (an invite or its end, in a room that the server is not in).`,
  examples: ["rooms explain '$event_id'", "rooms explain '$event_id' --json --reason 'complaint' --case C-17"],
  options: READ_OPTIONS,
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: ({ options, positionals, loadConfig, json, print, say }) =>
    sayingWhatIsNotThere(say, async (): Promise<ExitStatus> => {
      const [eventId = ''] = positionals;
      const config = await loadConfig();
      const target = { kind: 'event', id: eventId } as const;
      const action = json ? 'content.read' : 'room.read';
      await recordRead(config, { action, target, command: 'rooms explain', options });
      const explanation = await readDataFolder(config.data_dir, (folder) => explainEvent(folder, eventId));
      if (json) print(JSON.stringify(explanation));
      else for (const line of explanationLines(explanation)) print(line);
      return SUCCESS;
    }),
});

const AGAINST: Readonly<Record<RuleFinding['against'], string>> = {
  auth_event_selection: 'its choice of auth events',
  auth_events: 'the state of its auth events',
  state_before: 'the state before it',
  state_when_it_came: "the room's state when it came",
};

function* explanationLines(event: Explanation): Generator<string> {
  const { disposition, reason, recorded_as: first } = event;
  yield `${event.event_id}: ${disposition}${reason === null ? '' : `, because ${quotedText(reason)}`}`;
  if (first !== null) {
    yield `  when it came: ${first.disposition}${first.reason === null ? '' : `, because ${quotedText(first.reason)}`}`;
  }
  const key = event.state_key === null ? '' : ` "${quotedText(event.state_key)}"`;
  yield `  ${quotedText(event.type)}${key} by ${quotedText(event.sender)} at ${timeText(event.origin_server_ts)}, depth ${event.depth}`;
  yield `  in ${event.room_id}, room version ${event.room_version}`;
  const when = event.recorded_at === null ? '' : `, recorded at ${timeText(event.recorded_at)}`;
  yield `  position ${event.position} in the log${when}`;
  if (event.redacted_by !== null) yield `  redacted by ${event.redacted_by}`;
  yield* namedLines('Follows', event.prev_events);
  yield* namedLines('Authorised by', event.auth_events);
  if (event.rules.length > 0) yield 'The rules, held against';
  for (const { against, allowed, rule, reason: why } of event.rules) {
    yield `  ${AGAINST[against]}: ${allowed ? 'allowed' : `refused by rule ${rule}: ${quotedText(why ?? '')}`}`;
  }
  yield* stateLines(event);
}

function* namedLines(title: string, named: readonly NamedEvent[] | null): Generator<string> {
  if (named === null) {
    yield `${title}: erased`;
    return;
  }
  yield `${title}${named.length === 0 ? ' nothing' : ''}`;
  for (const { event_id: id, disposition, type, state_key: stateKey } of named) {
    const what =
      type === undefined ? '' : `  ${quotedText(type)}${stateKey === undefined ? '' : ` "${quotedText(stateKey)}"`}`;
    yield `  ${quotedText(id)}${what}${disposition === 'accepted' ? '' : `  (${disposition})`}`;
  }
}

function* stateLines({ state_before: before, state_after: after }: Explanation): Generator<string> {
  if (before === null || after === null) {
    yield 'It has no place in the graph of the room, so there is no state before or after it.';
    return;
  }
  yield `State before it: ${count(before.length)} keys`;
  for (const event of before) yield `  ${stateLine(event)}`;
  const known = new Set(before.map(({ event_id }) => event_id));
  const changed = after.filter(({ event_id }) => !known.has(event_id));
  yield `State after it: ${changed.length === 0 && after.length === before.length ? 'the same' : `${count(after.length)} keys; new is`}`;
  for (const event of changed) yield `  ${stateLine(event)}`;
}

function stateLine({ type, state_key: stateKey, event_id: eventId, sender }: ShownStateEvent): string {
  return `${quotedText(type)} "${quotedText(stateKey)}"  ${eventId}  ${quotedText(sender)}`;
}

function timeText(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? `${timeMs} ms` : time.toISOString();
}
