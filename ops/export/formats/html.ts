/**
 * The export as pages for people: one list of rooms, a room on as many pages as it needs. They open from the disk, ask nothing
 * of any network and run nothing.
 */
import { timeText } from '../collect.ts';
import { isShownElsewhere, newTextOf, textOf } from '../describe-event.ts';
import { type Entry, type EventIndex, relationIn } from '../event-index.ts';
import type { MediaLine, RoomSummary } from '../layout.ts';
import { mediaNamedIn } from '../media.ts';

/** Events on one page. */
const EVENTS_A_PAGE = 1_000;

const STYLE = `
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1b1b;background:#fff}
h1{font-size:1.4rem}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:left;vertical-align:top}
.event{border-left:3px solid #ddd;margin:.6rem 0;padding:.1rem .8rem;overflow-wrap:anywhere}.event:target{border-color:#c60}
.thread{margin-left:2rem}.state{color:#555;font-size:.92em}.who{font-weight:600}.when,.meta{color:#666;font-size:.85em}
.text{white-space:pre-wrap;margin:.15rem 0}.gone{text-decoration:line-through;color:#822}.note{color:#822;font-size:.9em}
img,video{max-width:100%;max-height:24rem;display:block;margin:.3rem 0}nav a{margin-right:.8rem}details{font-size:.92em;color:#444}
.reactions span{border:1px solid #ccc;border-radius:.7rem;padding:0 .5rem;margin-right:.3rem;font-size:.9em}`;

/** What the pages are made of. */
export interface HtmlOptions {
  readonly caseId: string;
  readonly serverName: string;
  readonly logSize: number;
  readonly rooms: readonly RoomSummary[];
  readonly media: ReadonlyMap<string, MediaLine>;
  readonly index: EventIndex;
}

/** A page: its path below the folder of the pages, and its text. */
export interface Page {
  readonly path: string;
  readonly html: string;
}

/** All pages. */
export function* htmlPages(options: HtmlOptions): Generator<Page> {
  const shown = options.rooms.filter(({ exported }) => exported > 0);
  yield { path: 'index.html', html: indexPage(options, shown) };
  for (const [number, room] of shown.entries()) yield* roomPages(options, room, roomFolder(number));
}

/** Folder of the n-th room that is shown, from 0. */
function roomFolder(number: number): string {
  return `room-${String(number + 1).padStart(5, '0')}`;
}

function indexPage({ caseId, serverName, logSize }: HtmlOptions, rooms: readonly RoomSummary[]): string {
  const rows = rooms.map(
    (room, number) =>
      `<tr><td><a href="${roomFolder(number)}/1.html">${escaped(titleOf(room))}</a></td><td>${escaped(room.room_id)}</td>` +
      `<td>${room.exported}</td><td>${room.encrypted_events}</td><td>${room.destroyed}</td></tr>`,
  );
  return page(
    `Case ${caseId}`,
    `<h1>Case ${escaped(caseId)}</h1>
<p>From the log of ${escaped(serverName)}, of ${logSize} records. Which files belong to this export, and what proves them, is in
<code>manifest.json</code>; <code>stele export verify</code> checks it all.</p>
<table><tr><th>Room</th><th>Id</th><th>Events</th><th>End-to-end encrypted</th><th>Content destroyed</th></tr>
${rows.join('\n')}</table>`,
  );
}

function* roomPages(options: HtmlOptions, room: RoomSummary, folder: string): Generator<Page> {
  const { index } = options;
  const total = index.countOf(room.room_id);
  const pages = Math.max(1, Math.ceil(total / EVENTS_A_PAGE));
  let events: string[] = [];
  let number = 1;
  let seen = 0;
  for (const entry of index.entriesOf(room.room_id)) {
    seen += 1;
    if (!isShownElsewhere(entry.line) || entry.redactions.length > 0) events.push(eventHtml(entry, options.media));
    if (seen % EVENTS_A_PAGE !== 0 && seen !== total) continue;
    yield { path: `${folder}/${number}.html`, html: roomPage(room, number, pages, events) };
    number += 1;
    events = [];
  }
}

function roomPage(room: RoomSummary, number: number, pages: number, events: readonly string[]): string {
  const links = Array.from({ length: pages }, (_, at) =>
    at + 1 === number ? `<b>${at + 1}</b>` : `<a href="${at + 1}.html">${at + 1}</a>`,
  );
  const nav = `<nav><a href="../index.html">All rooms</a> ${pages > 1 ? `Page ${links.join(' ')}` : ''}</nav>`;
  return page(
    titleOf(room),
    `${nav}<h1>${escaped(titleOf(room))}</h1><p class="meta">${escaped(room.room_id)}</p>\n${events.join('\n')}\n${nav}`,
  );
}

function eventHtml({ line, edits, redactions, reactions }: Entry, media: ReadonlyMap<string, MediaLine>): string {
  const { pdu, event_id, sender_name } = line;
  const relation = relationIn(pdu.content);
  const isThread = relation.rel_type === 'm.thread';
  const classes = ['event', ...(isThread ? ['thread'] : []), ...(pdu.state_key === undefined ? [] : ['state'])].join(
    ' ',
  );
  const last = edits.at(-1);
  const gone = redactions.length > 0 ? ' gone' : '';
  return `<div class="${classes}" id="${escaped(event_id)}">
<span class="who">${escaped(sender_name ?? pdu.sender)}</span> <span class="meta">${escaped(pdu.sender)}</span>
<span class="when">${escaped(timeText(pdu.origin_server_ts))}</span>
${replyHtml(relation, isThread)}<div class="text${gone}">${escaped(last === undefined ? textOf(line) : newTextOf(last))}</div>
${editsHtml(line, edits)}${redactionsHtml(redactions)}${notesHtml(line)}${mediaHtml(pdu.content, media)}${reactionsHtml(reactions)}</div>`;
}

function replyHtml({ event_id, inReplyTo }: ReturnType<typeof relationIn>, isThread: boolean): string {
  const links: string[] = [];
  if (isThread && event_id !== undefined) links.push(`in the thread of ${link(event_id)}`);
  if (inReplyTo !== undefined && inReplyTo !== event_id) links.push(`in reply to ${link(inReplyTo)}`);
  return links.length === 0 ? '' : `<div class="meta">${links.join(', ')}</div>\n`;
}

function link(eventId: string): string {
  return `<a href="#${escaped(encodeURIComponent(eventId))}">${escaped(eventId)}</a>`;
}

function editsHtml(line: Entry['line'], edits: Entry['edits']): string {
  if (edits.length === 0) return '';
  const versions = [
    `<li>${escaped(timeText(line.pdu.origin_server_ts))}: <span class="text">${escaped(textOf(line))}</span></li>`,
    ...edits.map(
      (edit) =>
        `<li>${escaped(timeText(edit.pdu.origin_server_ts))}, by ${escaped(edit.pdu.sender)}: <span class="text">${escaped(newTextOf(edit))}</span></li>`,
    ),
  ];
  return `<details><summary>Edited ${edits.length} times: every version</summary><ol>${versions.join('')}</ol></details>\n`;
}

function redactionsHtml(redactions: Entry['redactions']): string {
  return redactions
    .map(
      ({ by, sent_at, reason }) =>
        `<div class="note">Taken away by ${escaped(by)} at ${escaped(timeText(sent_at))}${reason === undefined ? '' : `: ${escaped(reason)}`}</div>\n`,
    )
    .join('');
}

function notesHtml({ disposition, reason, is_destroyed, because }: Entry['line']): string {
  const notes = [
    ...(disposition === 'accepted' || disposition === 'backfilled'
      ? []
      : [
          `This server took it as ${disposition}${reason === undefined ? '' : `: ${reason}`}; its users were not shown it.`,
        ]),
    ...(is_destroyed ? ['Its content was destroyed before this export.'] : []),
    ...(because === 'asked_for' ? [] : ['Not asked for by itself: it changes an event that was.']),
  ];
  return notes.map((note) => `<div class="note">${escaped(note)}</div>\n`).join('');
}

function mediaHtml(content: Readonly<Record<string, unknown>>, media: ReadonlyMap<string, MediaLine>): string {
  const isEncrypted = typeof content['file'] === 'object';
  return [...new Set(mediaNamedIn(content))].map((mxc) => oneMediaHtml(mxc, media.get(mxc), isEncrypted)).join('');
}

function oneMediaHtml(mxc: string, line: MediaLine | undefined, isEncrypted: boolean): string {
  if (line?.path === undefined) return `<div class="note">The file ${escaped(mxc)} is not in this export.</div>\n`;
  const source = `../../${line.path}`;
  const label = escaped(line.file_name ?? mxc);
  const caption = `<a href="${source}">${label}</a> <span class="meta">SHA-256 ${escaped(line.sha256 ?? '')}</span>\n`;
  if (isEncrypted) return `${caption}<div class="note">The file is end-to-end encrypted.</div>\n`;
  if (/\.(png|jpg|gif|webp|avif)$/.test(line.path))
    return `<img src="${source}" alt="${label}" loading="lazy">${caption}`;
  if (/\.(mp4|webm)$/.test(line.path)) return `<video src="${source}" controls preload="none"></video>${caption}`;
  if (/\.(mp3|ogg|m4a|wav|weba)$/.test(line.path))
    return `<audio src="${source}" controls preload="none"></audio>${caption}`;
  return caption;
}

function reactionsHtml(reactions: Entry['reactions']): string {
  if (reactions.length === 0) return '';
  const byKey = new Map<string, string[]>();
  for (const { key, by } of reactions) byKey.set(key, [...(byKey.get(key) ?? []), by]);
  const spans = Array.from(
    byKey,
    ([key, by]) => `<span title="${escaped(by.join(', '))}">${escaped(key)} ${by.length}</span>`,
  );
  return `<div class="reactions">${spans.join('')}</div>\n`;
}

function titleOf({ name, room_id }: RoomSummary): string {
  return name ?? room_id;
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:; media-src 'self' file:; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer"><title>${escaped(title)}</title><style>${STYLE}</style></head>
<body>${body}</body></html>
`;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
