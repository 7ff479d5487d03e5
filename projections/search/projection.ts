/**
 * The words of what people say, in an environment of its own that may lag behind: which events of a room have which words.
 * Encrypted rooms are not indexed, nor is what was redacted.
 */
import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import { PDU_KIND, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import type { LogRecord } from '#streams/event-log.ts';
import { Block, encodeBlock, mergeBlocks } from './block.ts';
import {
  type Document,
  decodeTail,
  encodeTail,
  extendedTail,
  idHashOf,
  MAX_COUNTED_WORDS,
  SEARCH_KEYS,
  type SearchKey,
  tailLength,
} from './document.ts';
import { blocks, gone, type SearchRoomRow, searchRooms, searchTables, tails } from './tables.ts';
import { wordsOf } from './words.ts';

/** Events of a tail, and of a block of the lowest level. */
export const TAIL_DOCUMENTS = 16;
/** Bytes after which a tail becomes a block whatever the number of its events: long texts are kept packed. */
const MAX_TAIL_BYTES = 64 * 1024;
/** Blocks of one level that become one of the next. */
export const BLOCKS_TO_MERGE = 4;
/** Blocks of this level, of some 1024 events, stay as they are. */
export const LAST_LEVEL = 3;
/** Most bytes of blocks that are still put together: those with long texts stay smaller in number of events. */
const MAX_MERGED_BYTES = 512 * 1024;
/** Different words of one event that are indexed: more than any text that people write. */
const MAX_WORDS = 8192;

export const searchProjection: Projection = {
  name: 'search',
  version: 1,
  tables: searchTables,
  apply(tx, record) {
    if (record.kind !== PDU_KIND) return;
    const read = readPduRecord(record);
    if (read === undefined || read.meta.disposition !== 'accepted') return;
    const { meta, pdu } = read;
    if (meta.redacts !== undefined) forget(tx, roomOf(tx, record, meta.roomId).id, idHashOf(meta.redacts));
    if (pdu.type === 'm.room.encryption' && pdu.state_key === '') return closeRoom(tx, record, meta.roomId);
    const found = searchableText(pdu);
    if (found === undefined) return;
    const words = wordsOf(found.text);
    const room = words.length === 0 ? undefined : roomOf(tx, record, meta.roomId);
    if (room === undefined || room.isEncrypted) return;
    const idHash = idHashOf(meta.eventId);
    if (tx.has(gone, [room.id, idHash])) return;
    addDocument(tx, room.id, {
      position: record.position,
      // A time in the future would stay at the top of what is recent for ever.
      sentAtS: Math.max(0, Math.floor(Math.min(pdu.origin_server_ts, record.recordedAtMs) / 1000)),
      idHash,
      key: SEARCH_KEYS.indexOf(found.key),
      length: Math.min(words.length, MAX_COUNTED_WORDS),
      words: counted(words),
    });
  },
};

/** What of an event can be searched. Source: client-server API, "Search categories". */
export function searchableText(event: Pick<Pdu, 'type' | 'content'>): { key: SearchKey; text: string } | undefined {
  const { type, content } = event;
  switch (type) {
    case 'm.room.message':
      return typeof content.body === 'string' ? { key: 'content.body', text: content.body } : undefined;
    case 'm.room.name':
      return typeof content.name === 'string' ? { key: 'content.name', text: content.name } : undefined;
    case 'm.room.topic': {
      const texts = [content.topic, plainTopic(content)].filter((text) => typeof text === 'string');
      return texts.length === 0 ? undefined : { key: 'content.topic', text: [...new Set(texts)].join('\n') };
    }
    default:
      return undefined;
  }
}

/** The `text/plain` form of a topic; text without a type is plain. Source: client-server API, `m.room.topic`. */
function plainTopic(content: JsonObject): string | undefined {
  const block = content['m.topic'];
  const texts = isJsonObject(block) ? block['m.text'] : undefined;
  if (!Array.isArray(texts)) return undefined;
  for (const text of texts) {
    if (!isJsonObject(text) || typeof text.body !== 'string') continue;
    if (text.mimetype === undefined || text.mimetype === 'text/plain') return text.body;
  }
  return undefined;
}

function counted(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) {
    const before = counts.get(word);
    if (before !== undefined) counts.set(word, before + 1);
    else if (counts.size < MAX_WORDS) counts.set(word, 1);
  }
  return counts;
}

function roomOf(tx: Writer, record: LogRecord, roomId: string): SearchRoomRow {
  const known = tx.get(searchRooms, [roomId]);
  if (known !== undefined) return known;
  const room = { id: record.position, isEncrypted: false };
  tx.put(searchRooms, [roomId], room);
  return room;
}

/** From when it is encrypted on, nothing of a room is searched. */
function closeRoom(tx: Writer, record: LogRecord, roomId: string): void {
  const { id } = roomOf(tx, record, roomId);
  tx.put(searchRooms, [roomId], { id, isEncrypted: true });
  tx.remove(tails, [id]);
  tx.removeRange(blocks, { prefix: [id] });
  tx.removeRange(gone, { prefix: [id] });
}

function addDocument(tx: Writer, room: number, document: Document): void {
  const before = tx.get(tails, [room]);
  const tail = before === undefined ? encodeTail([document]) : extendedTail(before, document);
  if (tailLength(tail) < TAIL_DOCUMENTS && tail.length <= MAX_TAIL_BYTES) {
    tx.put(tails, [room], tail);
    return;
  }
  if (before !== undefined) tx.remove(tails, [room]);
  tx.put(blocks, [room, 0, document.position], encodeBlock(decodeTail(tail)));
  raiseBlocks(tx, room);
}

/** Puts blocks of one level together as soon as they are enough for one of the next. */
function raiseBlocks(tx: Writer, room: number): void {
  for (let level = 0; level < LAST_LEVEL; level += 1) {
    const rows = Array.from(tx.range(blocks, { prefix: [room, level] }), ({ key, value }) => ({ key, value }));
    if (rows.length < BLOCKS_TO_MERGE) return;
    const last = rows.at(-1)?.key[2] ?? 0;
    const isLarge = rows.reduce((sum, { value }) => sum + value.length, 0) > MAX_MERGED_BYTES;
    for (const { key } of rows) tx.remove(blocks, key);
    if (isLarge) {
      for (const { key, value } of rows) tx.put(blocks, [room, LAST_LEVEL, key[2]], value);
      return;
    }
    tx.put(blocks, [room, level + 1, last], mergeBlocks(rows.map(({ value }) => new Block(value))));
  }
}

/** Takes the words of an event out. */
function forget(tx: Writer, room: number, idHash: Uint8Array): void {
  const isIt = (document: Document): boolean => Buffer.compare(document.idHash, idHash) === 0;
  const tail = tx.get(tails, [room]);
  const inTail = tail === undefined ? [] : decodeTail(tail);
  if (inTail.some(isIt)) {
    const rest = inTail.filter((document) => !isIt(document));
    if (rest.length === 0) tx.remove(tails, [room]);
    else tx.put(tails, [room], encodeTail(rest));
    return;
  }
  for (const { key, value } of tx.range(blocks, { prefix: [room] })) {
    const block = new Block(value);
    const index = block.find(idHash);
    if (index === undefined) continue;
    const rest = block.documents().filter((_, other) => other !== index);
    if (rest.length === 0) tx.remove(blocks, key);
    else tx.put(blocks, key, encodeBlock(rest));
    return;
  }
  tx.put(gone, [room, idHash], true);
}
