/** The event graph of a room, for programs that draw or analyse graphs. */

import type { Reader } from '#projections/engine/reader.ts';
import { knownEvent, knownEventAt } from '#projections/rooms/known-events.ts';
import { type Disposition, PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import type { Room } from '#projections/rooms/queries.ts';
import { authEventIdsOf, prevEventIdsOf } from '#protocol/event-references.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { DataFolder } from './data-folder.ts';
import { dispositionOf } from './explain-event.ts';

/** One event of the graph. */
export interface GraphEvent {
  readonly event_id: string;
  readonly type: string;
  /** Null for a message. */
  readonly state_key: string | null;
  readonly sender: string;
  /** Milliseconds since the epoch, by the sender's server. */
  readonly origin_server_ts: number;
  readonly depth: number;
  readonly disposition: Disposition;
  /** Of its record in the log. */
  readonly position: number;
  readonly prev_events: readonly string[];
  /** As it names them: without the create event, where the room id implies it. */
  readonly auth_events: readonly string[];
}

/** Every event of a room that the server has, in the order in which it got them; read from the log while it is iterated. */
export async function* graphEvents(
  { reader, log }: DataFolder,
  room: Room,
  signal?: AbortSignal,
): AsyncGenerator<GraphEvent> {
  const rules = roomVersionRules(room.version);
  if (rules === undefined) return;
  for await (const record of log.readStream(room.stream)) {
    signal?.throwIfAborted();
    // What came after the moment of the projections is not theirs to judge yet.
    if (record.position > reader.frontier) return;
    const read = record.kind === PDU_KIND ? readPduRecord(record) : undefined;
    if (read === undefined) continue;
    const { meta, pdu } = read;
    const known = knownEventAt(reader, record.position);
    yield {
      event_id: meta.eventId,
      type: pdu.type,
      state_key: pdu.state_key ?? null,
      sender: pdu.sender,
      origin_server_ts: pdu.origin_server_ts,
      depth: pdu.depth,
      disposition: known === undefined ? meta.disposition : dispositionOf(reader, known),
      position: record.position,
      prev_events: prevEventIdsOf(pdu, rules),
      auth_events: authEventIdsOf(pdu, rules),
    };
  }
}

/** A form in which the graph is written, line by line. */
export type GraphFormat = 'dot' | 'graphml' | 'ndjson';

/** Writes the graph in a form. Events that are named and have not come are nodes too, but in NDJSON. */
export function writeGraph(
  format: GraphFormat,
  room: Room,
  reader: Reader,
  events: AsyncIterable<GraphEvent>,
): AsyncGenerator<string> {
  if (format === 'ndjson') return ndjsonLines(events);
  return format === 'dot' ? dotLines(room, reader, events) : graphmlLines(room, reader, events);
}

async function* ndjsonLines(events: AsyncIterable<GraphEvent>): AsyncGenerator<string> {
  for await (const event of events) yield JSON.stringify(event);
}

/** Finds what is named for the first time and is not on this server. */
class Unknown {
  readonly #reader: Reader;
  readonly #told = new Set<string>();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  *newIn({ prev_events: prev, auth_events: auth }: GraphEvent): Generator<string> {
    for (const eventId of [...prev, ...auth]) {
      if (this.#told.has(eventId) || knownEvent(this.#reader, eventId) !== undefined) continue;
      this.#told.add(eventId);
      yield eventId;
    }
  }
}

const FILL: Readonly<Record<Disposition, string>> = {
  accepted: 'white',
  backfilled: 'lightyellow',
  soft_failed: 'orange',
  rejected: 'salmon',
  outlier: 'lightgrey',
  out_of_band: 'lightblue',
};

/** Graphviz. Source: graphviz.org, "DOT Language". */
async function* dotLines(room: Room, reader: Reader, events: AsyncIterable<GraphEvent>): AsyncGenerator<string> {
  const unknown = new Unknown(reader);
  yield `digraph ${dotText(room.roomId)} {`;
  yield '  rankdir=BT;';
  yield '  node [shape=box, style=filled, fontname="sans-serif"];';
  for await (const event of events) {
    const key = event.state_key === null ? '' : ` "${event.state_key}"`;
    const label = [`${event.type}${key}`, event.sender, `${event.disposition}, depth ${event.depth}`]
      .map(dotLine)
      .join('\\n');
    const id = dotText(event.event_id);
    yield `  ${id} [label="${label}", tooltip=${id}, fillcolor=${FILL[event.disposition]}];`;
    for (const missing of unknown.newIn(event))
      yield `  ${dotText(missing)} [label="not known here", tooltip=${dotText(missing)}, style=dashed];`;
    for (const prev of event.prev_events) yield `  ${id} -> ${dotText(prev)};`;
    for (const auth of event.auth_events)
      yield `  ${id} -> ${dotText(auth)} [style=dotted, color=grey, constraint=false];`;
  }
  yield '}';
}

function dotText(text: string): string {
  return `"${dotLine(text)}"`;
}

/** Text inside of the quotes of DOT: a backslash begins an escape, and control characters have no place. */
function dotLine(text: string): string {
  return writable(text).replaceAll(/["\\]/g, '\\$&');
}

/** What neither form may hold: control characters and what is no character. */
const UNWRITABLE = /\p{Cc}|\ufffe|\uffff/gu;

/** Text of others without what cannot be written. */
function writable(text: string): string {
  return text.toWellFormed().replaceAll(UNWRITABLE, '\uFFFD');
}

const GRAPHML_KEYS: readonly (readonly [id: string, domain: 'node' | 'edge', type: string])[] = [
  ['type', 'node', 'string'],
  ['state_key', 'node', 'string'],
  ['sender', 'node', 'string'],
  ['origin_server_ts', 'node', 'long'],
  ['depth', 'node', 'long'],
  ['disposition', 'node', 'string'],
  ['position', 'node', 'long'],
  ['kind', 'edge', 'string'],
];

/** GraphML. Source: graphml.graphdrawing.org, "GraphML Specification". */
async function* graphmlLines(room: Room, reader: Reader, events: AsyncIterable<GraphEvent>): AsyncGenerator<string> {
  const unknown = new Unknown(reader);
  yield '<?xml version="1.0" encoding="UTF-8"?>';
  yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">';
  for (const [id, domain, type] of GRAPHML_KEYS) {
    yield `  <key id="${id}" for="${domain}" attr.name="${id}" attr.type="${type}"/>`;
  }
  yield `  <graph id="${xmlText(room.roomId)}" edgedefault="directed">`;
  for await (const event of events) {
    const id = xmlText(event.event_id);
    const data = GRAPHML_KEYS.flatMap(([key, domain]) => {
      const value = domain === 'node' ? event[key as keyof GraphEvent] : null;
      return value === null ? [] : `<data key="${key}">${xmlText(String(value))}</data>`;
    });
    yield `    <node id="${id}">${data.join('')}</node>`;
    for (const missing of unknown.newIn(event))
      yield `    <node id="${xmlText(missing)}"><data key="disposition">unknown</data></node>`;
    for (const prev of event.prev_events) yield edge(id, prev, 'prev');
    for (const auth of event.auth_events) yield edge(id, auth, 'auth');
  }
  yield '  </graph>';
  yield '</graphml>';
}

function edge(source: string, target: string, kind: 'prev' | 'auth'): string {
  return `    <edge source="${source}" target="${xmlText(target)}"><data key="kind">${kind}</data></edge>`;
}

const XML_ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text of XML 1.0, in which control characters and halves of characters have no place. */
function xmlText(text: string): string {
  return writable(text).replaceAll(/[&<>"]/g, (character) => XML_ESCAPES[character] ?? character);
}
