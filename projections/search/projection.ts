/**
 * The words of what people say, in an environment of its own that may lag behind: which events of a room have which words.
 * Encrypted rooms are not indexed, nor is what was redacted.
 */
import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import { DISPOSITION_KIND, readDisposition } from '#projections/rooms/disposition-record.ts';
import { PDU_KIND, type PduRecord, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { powerLevelsOf } from '#protocol/power-levels.ts';
import { redactedEventIdOf } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
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
  serverHashOf,
  tailLength,
} from './document.ts';
import {
  aside,
  blocks,
  type GoneRow,
  gone,
  powers,
  type SearchRoomRow,
  searchRooms,
  searchTables,
  tails,
} from './tables.ts';
import { wordsOf } from './words.ts';

/** Events of a tail, and of a block of the lowest level. */
export const TAIL_DOCUMENTS = 32;
/** Bytes after which a tail becomes a block whatever the number of its events: long texts are kept packed. */
const MAX_TAIL_BYTES = 64 * 1024;
/** Blocks of one level that become one of the next. */
export const BLOCKS_TO_MERGE = 6;
/** Blocks of this level, of some 1152 events, stay as they are. */
export const LAST_LEVEL = 2;
/** Most bytes of blocks that are still put together: those with long texts stay smaller in number of events. */
const MAX_MERGED_BYTES = 512 * 1024;
/** Different words of one event that are indexed: more than any text that people write. */
const MAX_WORDS = 8192;

export const searchProjection: Projection = {
  name: 'search',
  version: 1,
  tables: searchTables,
  apply(tx, record) {
    if (record.kind === PDU_KIND) applyPdu(tx, record);
    else if (record.kind === DISPOSITION_KIND) applyDisposition(tx, record);
  },
};

function applyPdu(tx: Writer, record: LogRecord): void {
  const read = readPduRecord(record);
  if (read === undefined) return;
  const { meta, pdu } = read;
  const isShown = meta.disposition === 'accepted' || meta.disposition === 'backfilled';
  // The state with which the server comes into a room is not shown, but holds.
  if (isShown || meta.disposition === 'outlier') noteState(tx, record, read);
  if (isShown && pdu.type === 'm.room.redaction') applyRedaction(tx, record, read);
  const document = documentOf(record, read);
  if (document === undefined) return;
  if (isShown) addDocument(tx, roomOf(tx, record.position, meta.roomId), document);
  else tx.put(aside, [meta.eventId], [meta.roomId, encodeTail([document])]);
}

/** An event that was not shown is. */
function applyDisposition(tx: Writer, record: LogRecord): void {
  const now = readDisposition(record);
  const row = now && tx.get(aside, [now.eventId]);
  if (now === undefined || row === undefined) return;
  if (now.disposition !== 'accepted' && now.disposition !== 'backfilled') return;
  tx.remove(aside, [now.eventId]);
  const [roomId, packed] = row;
  const [document] = decodeTail(Buffer.from(packed));
  if (document !== undefined) addDocument(tx, roomOf(tx, record.position, roomId), document);
}

function documentOf(record: LogRecord, { meta, pdu }: PduRecord): Document | undefined {
  const found = searchableText(pdu);
  const words = found === undefined ? [] : wordsOf(found.text);
  if (found === undefined || words.length === 0) return undefined;
  return {
    position: record.position,
    // A time in the future would stay at the top of what is recent for ever.
    sentAtS: Math.max(0, Math.floor(Math.min(pdu.origin_server_ts, record.recordedAtMs) / 1000)),
    idHash: idHashOf(meta.eventId),
    serverHash: serverHashOf(pdu.sender),
    key: SEARCH_KEYS.indexOf(found.key),
    length: Math.min(words.length, MAX_COUNTED_WORDS),
    words: counted(words),
  };
}

/** What of the state the index has to know. */
function noteState(tx: Writer, record: LogRecord, { meta, pdu }: PduRecord): void {
  if (pdu.state_key !== '') return;
  switch (pdu.type) {
    case 'm.room.encryption':
      closeRoom(tx, record.position, meta.roomId);
      return;
    case 'm.room.create':
    case 'm.room.power_levels': {
      const { id } = roomOf(tx, record.position, meta.roomId);
      const before = tx.get(powers, [id]) ?? {
        version: meta.roomVersion,
        creator: null,
        createJson: '{}',
        levelsJson: null,
      };
      const json = JSON.stringify(pdu.content);
      const isCreate = pdu.type === 'm.room.create';
      tx.put(powers, [id], {
        version: before.version,
        creator: isCreate ? pdu.sender : before.creator,
        createJson: isCreate ? json : before.createJson,
        levelsJson: isCreate ? before.levelsJson : json,
      });
    }
  }
}

function applyRedaction(tx: Writer, record: LogRecord, { meta, pdu }: PduRecord): void {
  const rules = roomVersionRules(meta.roomVersion);
  const target = meta.redacts ?? (rules && redactedEventIdOf(pdu, rules));
  if (target === undefined) return;
  const room = roomOf(tx, record.position, meta.roomId);
  forget(tx, room.id, idHashOf(target), {
    // The writer has found that its own take effect.
    isPowerful: meta.redacts !== undefined || mayRedactAll(tx, room.id, pdu.sender),
    serverHash: serverHashOf(pdu.sender),
  });
}

/** Whether somebody may redact the events of others, by the power levels that were seen last. */
function mayRedactAll(tx: Writer, room: number, userId: string): boolean {
  const row = tx.get(powers, [room]);
  const rules = row && roomVersionRules(row.version);
  if (!row || !rules || row.creator === null) return false;
  const create = { sender: row.creator, content: parseJson(row.createJson) as JsonObject };
  const levels = row.levelsJson === null ? undefined : (parseJson(row.levelsJson) as JsonObject);
  const power = powerLevelsOf(levels, create, rules);
  return power.powerLevelOf(userId) >= power.redact;
}

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

function roomOf(tx: Writer, position: number, roomId: string): SearchRoomRow {
  const known = tx.get(searchRooms, [roomId]);
  if (known !== undefined) return known;
  const room = { id: position, isEncrypted: false };
  tx.put(searchRooms, [roomId], room);
  return room;
}

/** From when it is encrypted on, nothing of a room is searched. */
function closeRoom(tx: Writer, position: number, roomId: string): void {
  const { id } = roomOf(tx, position, roomId);
  tx.put(searchRooms, [roomId], { id, isEncrypted: true });
  tx.remove(tails, [id]);
  tx.removeRange(blocks, { prefix: [id] });
  tx.removeRange(gone, { prefix: [id] });
}

function addDocument(tx: Writer, { id: room, isEncrypted }: SearchRoomRow, document: Document): void {
  const redaction = isEncrypted ? undefined : tx.get(gone, [room, document.idHash]);
  if (isEncrypted || (redaction !== undefined && takesEffect(redaction, document))) return;
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

/** Source: rooms/v3, "Handling redactions". */
function takesEffect({ isPowerful, serverHash }: GoneRow, target: Pick<Document, 'serverHash'>): boolean {
  return isPowerful || serverHash === target.serverHash;
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

/** Takes the words of an event out, if the redaction takes effect on it. */
function forget(tx: Writer, room: number, idHash: Uint8Array, redaction: GoneRow): void {
  const tail = tx.get(tails, [room]);
  const inTail = tail === undefined ? [] : decodeTail(tail);
  const found = inTail.find((document) => Buffer.compare(document.idHash, idHash) === 0);
  if (found !== undefined) {
    if (!takesEffect(redaction, found)) return;
    const rest = inTail.filter((document) => document !== found);
    if (rest.length === 0) tx.remove(tails, [room]);
    else tx.put(tails, [room], encodeTail(rest));
    return;
  }
  for (const { key, value } of tx.range(blocks, { prefix: [room] })) {
    const block = new Block(value);
    const index = block.find(idHash);
    if (index === undefined) continue;
    if (!takesEffect(redaction, block.head(index))) return;
    const rest = block.documents().filter((_, other) => other !== index);
    if (rest.length === 0) tx.remove(blocks, key);
    else tx.put(blocks, key, encodeBlock(rest));
    return;
  }
  const before = tx.get(gone, [room, idHash]);
  if (before?.isPowerful !== true) tx.put(gone, [room, idHash], redaction);
}
