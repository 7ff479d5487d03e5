import { type AnyTable, defineTable, tuple, u32, u48 } from '#projections/engine/table.ts';
import type { ValueCodec } from '#projections/engine/values.ts';
import type { Position } from '#streams/event-log.ts';

/** Bytes of a hash of type and state key: enough that nobody finds two keys with one hash. */
export const KEY_HASH_BYTES = 16;

/** An event in the graph of auth events. */
export interface AuthNode {
  /** Its chain, named by the chain's first event. */
  readonly chain: Position;
  /** Its place in the chain; the first is 1. */
  readonly seq: number;
  /** Of the first event of a chain: which key all of it is of. */
  readonly keyHash: Uint8Array | undefined;
  readonly authEvents: readonly Position[];
}

const POSITION_BYTES = 6;
const SEQ_BYTES = 4;

/** Chain, place, the hash if the place is 1, then the auth events. */
const authNode: ValueCodec<AuthNode> = {
  encode({ chain, seq, keyHash, authEvents }) {
    const hashBytes = keyHash?.length ?? 0;
    const stored = Buffer.allocUnsafe(POSITION_BYTES + SEQ_BYTES + hashBytes + POSITION_BYTES * authEvents.length);
    let at = stored.writeUInt32BE(seq, stored.writeUIntBE(chain, 0, POSITION_BYTES));
    if (keyHash !== undefined) stored.set(keyHash, at);
    at += hashBytes;
    for (const event of authEvents) at = stored.writeUIntBE(event, at, POSITION_BYTES);
    return stored;
  },
  decode(stored, length) {
    const seq = stored.readUInt32BE(POSITION_BYTES);
    let at = POSITION_BYTES + SEQ_BYTES;
    let keyHash: Uint8Array | undefined;
    if (seq === 1) {
      keyHash = Uint8Array.prototype.slice.call(stored, at, at + KEY_HASH_BYTES);
      at += KEY_HASH_BYTES;
    }
    const authEvents: Position[] = [];
    for (; at < length; at += POSITION_BYTES) authEvents.push(stored.readUIntBE(at, POSITION_BYTES));
    return { chain: stored.readUIntBE(0, POSITION_BYTES), seq, keyHash, authEvents };
  },
};

const seqValue: ValueCodec<number> = {
  encode(seq) {
    const stored = Buffer.allocUnsafe(SEQ_BYTES);
    stored.writeUInt32BE(seq, 0);
    return stored;
  },
  decode: (stored) => stored.readUInt32BE(0),
};

export const authNodes = defineTable({
  name: 'rooms.auth-nodes',
  key: tuple<[event: number]>(u48),
  value: authNode,
  why: 'Where an event is in the chains, and its auth events by position, so that walking the graph parses no event.',
});

export const authChains = defineTable({
  name: 'rooms.auth-chains',
  key: tuple<[room: number, chain: number, seq: number]>(u48, u48, u32),
  value: u48,
  why: 'A chain between two places is a range of it.',
});

export const authLinks = defineTable({
  name: 'rooms.auth-links',
  key: tuple<[room: number, chain: number, seq: number, toChain: number]>(u48, u48, u32, u48),
  value: seqValue,
  why: 'Where a chain leads to others, by place, so that a stretch of it is crossed without looking at its events.',
});

export const authCitations = defineTable({
  name: 'rooms.auth-citations',
  key: tuple<[room: number, chain: number, seq: number, fromChain: number]>(u48, u48, u32, u48),
  value: seqValue,
  why: 'The links from where they lead, newest target first: what rests on an event is found without walking the room.',
});

export const authChainTables: readonly AnyTable[] = [authNodes, authChains, authLinks, authCitations];
