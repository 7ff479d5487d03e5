/**
 * The export as RSMF 2.0 (Relativity's short message format), which review platforms take in: for each room and day (UTC) an
 * RFC 5322 message whose one attachment is a ZIP of `rsmf_manifest.json` and the files that the messages name.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import MailComposer from 'nodemailer/lib/mail-composer';
import { STELE_VERSION } from '#src/version.ts';
import { timeText } from '../collect.ts';
import { isShownElsewhere, newTextOf, textOf } from '../describe-event.ts';
import { type Entry, type EventIndex, relationIn, sentMs } from '../event-index.ts';
import type { MediaLine, RoomSummary } from '../layout.ts';
import { mediaNamedIn } from '../media.ts';

/** Most events in one file; a day with more is cut into parts. */
const EVENTS_A_FILE = 10_000;
/** Most bytes of attachments in one file; what is beyond is named and left in `media/`. */
const MAX_ATTACHED_BYTES = 64 * 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;
/** The oldest time that a ZIP can hold: what is in it has no other, so that the same content is the same file. */
const ZIP_TIME = new Date(1980, 0, 1);
const EVENT_TYPES: Readonly<Record<string, string>> = { join: 'join', leave: 'leave', ban: 'leave' };

export interface RsmfOptions {
  /** The export's own folder, where `media/` is. */
  readonly folder: string;
  readonly caseId: string;
  readonly serverName: string;
  readonly rooms: readonly RoomSummary[];
  readonly media: ReadonlyMap<string, MediaLine>;
  readonly index: EventIndex;
}

/** A file: its path below the folder of the format, and its bytes. */
export interface RsmfFile {
  readonly path: string;
  readonly bytes: Buffer;
}

/** All files. */
export async function* rsmfFiles(options: RsmfOptions): AsyncGenerator<RsmfFile> {
  let number = 0;
  for (const room of options.rooms) {
    if (room.exported === 0) continue;
    number += 1;
    for (const { day, part, entries } of slicesOf(options.index, room.room_id)) {
      const name = `room-${String(number).padStart(5, '0')}-${day}${part === 1 ? '' : `-part-${part}`}.eml`;
      yield { path: name, bytes: await messageOf(options, room, name, entries) };
    }
  }
}

interface Slice {
  readonly day: string;
  readonly part: number;
  readonly entries: readonly Entry[];
}

/** The events of a room by the days on which they were sent. A time that is none counts as the epoch. */
function* slicesOf(index: EventIndex, roomId: string): Generator<Slice> {
  for (const { day, entries: sent } of index.entriesByDay(roomId)) {
    let entries: Entry[] = [];
    let part = 1;
    for (const entry of sent) {
      if (isShownElsewhere(entry.line)) continue;
      entries.push(entry);
      if (entries.length < EVENTS_A_FILE) continue;
      yield { day: dayText(day), part, entries };
      entries = [];
      part += 1;
    }
    if (entries.length > 0) yield { day: dayText(day), part, entries };
  }
}

function dayText(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

async function messageOf(
  options: RsmfOptions,
  room: RoomSummary,
  name: string,
  slice: readonly Entry[],
): Promise<Buffer> {
  const entries = [...slice].sort((a, b) => sentMs(a.line) - sentMs(b.line) || a.line.position - b.line.position);
  const attachments = new Attachments(options);
  const events: object[] = [];
  for (const entry of entries) events.push(await eventOf(entry, room.room_id, attachments));
  const people = peopleIn(entries);
  const manifest = {
    version: '2.0.0',
    eventcollectionid: `${room.room_id} ${name}`,
    participants: Array.from(people, ([id, display]) => ({ id, display, account_id: id })),
    conversations: [
      {
        id: room.room_id,
        display: room.name ?? room.room_id,
        platform: 'matrix',
        type: 'channel',
        participants: [...people.keys()],
      },
    ],
    events,
  };
  const first = entries[0]?.line;
  const last = entries.at(-1)?.line;
  const begins = timeText(first === undefined ? 0 : sentMs(first));
  return mail({
    room,
    name,
    options,
    people,
    begins,
    headers: {
      'X-RSMF-Version': '2.0.0',
      'X-RSMF-Generator': `stele ${STELE_VERSION}`,
      'X-RSMF-Application': 'matrix',
      'X-RSMF-EventCollectionID': `${room.room_id} ${name}`,
      'X-RSMF-BeginDate': begins,
      'X-RSMF-EndDate': timeText(last === undefined ? 0 : sentMs(last)),
      'X-RSMF-EventCount': String(entries.length),
      'X-RSMF-AttachmentCount': String(attachments.count),
    },
    text: entries
      .map(
        ({ line }) => `${timeText(line.pdu.origin_server_ts)} ${line.sender_name ?? line.pdu.sender}: ${textOf(line)}`,
      )
      .join('\n'),
    zip: attachments.zipWith(JSON.stringify(manifest, undefined, 2)),
  });
}

async function eventOf(
  { line, edits, redactions, reactions }: Entry,
  roomId: string,
  attachments: Attachments,
): Promise<object> {
  const { pdu, event_id } = line;
  const relation = relationIn(pdu.content);
  const parent = relation.rel_type === 'm.thread' ? relation.event_id : relation.inReplyTo;
  const membership = pdu.type === 'm.room.member' ? String(pdu.content['membership']) : undefined;
  const attached = await attachments.of(pdu.content);
  const last = edits.at(-1);
  return {
    id: event_id,
    type: (membership && EVENT_TYPES[membership]) ?? (pdu.state_key === undefined ? 'message' : 'history'),
    participant: membership === undefined ? pdu.sender : (pdu.state_key ?? pdu.sender),
    conversation: roomId,
    ...(parent !== undefined && { parent }),
    timestamp: timeText(sentMs(line)),
    body: last === undefined ? textOf(line) : newTextOf(last),
    deleted: redactions.length > 0,
    importance: 'normal',
    ...(reactions.length > 0 && { reactions: reactionsOf(reactions) }),
    ...(edits.length > 0 && { edits: editsOf(line, edits) }),
    ...(attached.length > 0 && { attachments: attached }),
    custom: [
      { name: 'log_position', value: String(line.position) },
      ...redactions.map(({ by, sent_at, reason }) => ({
        name: 'redacted',
        value: `${timeText(sent_at)} ${by}${reason === undefined ? '' : `: ${reason}`}`,
      })),
    ],
  };
}

function reactionsOf(reactions: Entry['reactions']): object[] {
  const byKey = new Map<string, string[]>();
  for (const { key, by } of reactions) byKey.set(key, [...(byKey.get(key) ?? []), by]);
  return Array.from(byKey, ([value, participants]) => ({ value, count: participants.length, participants }));
}

function editsOf(line: Entry['line'], edits: Entry['edits']): object[] {
  let previous = textOf(line);
  return edits.map((edit) => {
    const before = previous;
    previous = newTextOf(edit);
    return { participant: edit.pdu.sender, timestamp: timeText(sentMs(edit)), previous: before, new: previous };
  });
}

/** Everybody that a slice speaks of, by user id, with the last name they had in it. */
function peopleIn(entries: readonly Entry[]): Map<string, string> {
  const people = new Map<string, string>();
  for (const { line, edits, redactions, reactions } of entries) {
    people.set(line.pdu.sender, line.sender_name ?? line.pdu.sender);
    if (line.pdu.type === 'm.room.member' && line.pdu.state_key !== undefined) addPerson(people, line.pdu.state_key);
    for (const { pdu } of edits) addPerson(people, pdu.sender);
    for (const { by } of [...redactions, ...reactions]) addPerson(people, by);
  }
  return people;
}

function addPerson(people: Map<string, string>, id: string): void {
  if (!people.has(id)) people.set(id, id);
}

/** The files of one RSMF. */
class Attachments {
  readonly #options: Pick<RsmfOptions, 'folder' | 'media'>;
  readonly #files = new Map<string, Buffer>();
  #bytes = 0;

  constructor(options: Pick<RsmfOptions, 'folder' | 'media'>) {
    this.#options = options;
  }

  get count(): number {
    return this.#files.size;
  }

  /** What an event's content names, as the manifest lists it; taken in as far as there is room. */
  async of(content: unknown): Promise<object[]> {
    const list: object[] = [];
    for (const mxc of new Set(mediaNamedIn(content))) {
      const line = this.#options.media.get(mxc);
      if (line?.path === undefined) continue;
      const id = line.path.slice(line.path.indexOf('/') + 1);
      await this.#take(id, join(this.#options.folder, line.path));
      list.push({ id, display: line.file_name ?? id, size: line.size ?? 0 });
    }
    return list;
  }

  async #take(id: string, path: string): Promise<void> {
    if (this.#files.has(id)) return;
    const { size } = await stat(path);
    if (this.#bytes + size > MAX_ATTACHED_BYTES) return;
    this.#files.set(id, await readFile(path));
    this.#bytes += size;
  }

  zipWith(manifest: string): Uint8Array {
    const files: Record<string, Uint8Array> = { 'rsmf_manifest.json': Buffer.from(manifest) };
    for (const id of [...this.#files.keys()].sort()) files[id] = this.#files.get(id) ?? Buffer.alloc(0);
    return zipSync(files, { mtime: ZIP_TIME, level: 6 });
  }
}

interface MailParts {
  readonly room: RoomSummary;
  readonly name: string;
  readonly options: RsmfOptions;
  readonly people: ReadonlyMap<string, string>;
  readonly begins: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly zip: Uint8Array;
}

/** The message. People have no mail addresses here, so theirs are below `.invalid` (RFC 2606), which is nobody's. */
function mail({ room, name, options, people, begins, headers, text, zip }: MailParts): Promise<Buffer> {
  const addresses = Array.from(people, ([id, display]) => ({ name: `${display} (${id})`, address: addressOf(id) }));
  const boundary = Buffer.from(`${room.room_id} ${name}`).toString('hex').slice(0, 40);
  const spellings = new Map(Object.keys(headers).map((key) => [key.toLowerCase(), key]));
  const composer = new MailComposer({
    from: addresses[0] ?? { name: options.serverName, address: addressOf(options.serverName) },
    to: addresses,
    subject: `${room.name ?? room.room_id}, ${begins.slice(0, 10)} (case ${options.caseId})`,
    date: new Date(begins),
    messageId: `<${boundary}@stele.invalid>`,
    headers: { ...headers },
    text,
    baseBoundary: boundary,
    attachments: [
      { filename: 'rsmf.zip', content: Buffer.from(zip), contentType: 'application/zip', encoding: 'base64' },
    ],
    // As RSMF writes them, and not as mail usually does.
    normalizeHeaderKey: (key) => spellings.get(key.toLowerCase()) ?? key,
    disableFileAccess: true,
    disableUrlAccess: true,
  } as ConstructorParameters<typeof MailComposer>[0]);
  return new Promise((resolve, reject) => {
    composer.compile().build((error, message) => (error ? reject(error) : resolve(message)));
  });
}

function addressOf(id: string): string {
  return `${
    id
      .replace(/[^A-Za-z0-9.-]+/g, '.')
      .replace(/^\.+|\.+$/g, '')
      .replace(/\.{2,}/g, '.')
      .slice(0, 64) || 'somebody'
  }@matrix.invalid`;
}
