import { hash } from 'node:crypto';
import type { Writer } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { type AuthNode, authChains, authCitations, authLinks, authNodes, KEY_HASH_BYTES } from './tables.ts';

/**
 * Takes a state event into the index. Its auth events must have been taken in before; one that was not is passed over for
 * good. An event that is there already stays as it is.
 *
 * Costs two rows, and one or two for each auth event that is not already behind another of them.
 */
export function addToAuthChains(
  tx: Writer,
  room: Position,
  event: Position,
  at: { readonly type: string; readonly stateKey: string },
  authEvents: readonly Position[],
): void {
  if (tx.has(authNodes, [event])) return;
  const known = new Map<Position, AuthNode>();
  for (const authEvent of authEvents) {
    const node = authEvent === event || known.has(authEvent) ? undefined : tx.get(authNodes, [authEvent]);
    if (node !== undefined) known.set(authEvent, node);
  }
  const keyHash = keyHashOf(at);
  const before = predecessorOf(tx, room, keyHash, known.values());
  const chain = before?.chain ?? event;
  const seq = (before?.seq ?? 0) + 1;
  tx.put(authNodes, [event], {
    chain,
    seq,
    keyHash: before === undefined ? keyHash : undefined,
    authEvents: [...known.keys()],
  });
  tx.put(authChains, [room, chain, seq], event);
  for (const [toChain, toSeq] of linksOf(known, before)) {
    if (seq > 1) tx.put(authLinks, [room, chain, seq, toChain], toSeq);
    // The first place from which a chain leads there is the one that counts.
    if (seq === 1 || !tx.has(authCitations, [room, toChain, toSeq, chain]))
      tx.put(authCitations, [room, toChain, toSeq, chain], seq);
  }
}

/** The auth event whose chain the event continues: of the same key, and the last of its chain; of several the latest. */
function predecessorOf(
  tx: Writer,
  room: Position,
  keyHash: Uint8Array,
  candidates: Iterable<AuthNode>,
): AuthNode | undefined {
  let best: AuthNode | undefined;
  for (const node of candidates) {
    const hashOfChain = node.keyHash ?? tx.get(authNodes, [node.chain])?.keyHash;
    if (hashOfChain === undefined || Buffer.compare(hashOfChain, keyHash) !== 0) continue;
    if (best !== undefined && (node.seq < best.seq || (node.seq === best.seq && node.chain < best.chain))) continue;
    if (!tx.has(authChains, [room, node.chain, node.seq + 1])) best = node;
  }
  return best;
}

/** Chain → the place in it that an event leads to, without what another of its auth events leads to by itself. */
function linksOf(authEvents: ReadonlyMap<Position, AuthNode>, before: AuthNode | undefined): Map<Position, number> {
  const implied = new Set<Position>();
  for (const node of authEvents.values()) for (const behind of node.authEvents) implied.add(behind);
  const links = new Map<Position, number>();
  for (const [authEvent, { chain, seq }] of authEvents) {
    if (chain === before?.chain || implied.has(authEvent)) continue;
    links.set(chain, Math.max(seq, links.get(chain) ?? 0));
  }
  return links;
}

function keyHashOf({ type, stateKey }: { readonly type: string; readonly stateKey: string }): Uint8Array {
  // The length keeps type and state key apart, whatever characters they have.
  const digest = hash('sha256', `${type.length}:${type}${stateKey}`, 'buffer');
  return digest.subarray(0, KEY_HASH_BYTES);
}
