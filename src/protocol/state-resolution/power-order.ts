import { compareCodePoints } from '../canonical-json.ts';
import { type Level, powerLevelsOf } from '../power-levels.ts';
import { authEventsOf, chainLinksOf, isPowerLevels } from './auth-chain.ts';
import { AuthChainCycleError } from './errors.ts';
import { Heap } from './heap.ts';
import type { ResolutionContext, ResolutionEvent } from './types.ts';

/**
 * Whether an event might remove somebody's ability to do something in the room. The create event counts too, and power
 * levels and join rules only where their state key is empty: so the network has it.
 * Source: rooms/v2, "Definitions".
 */
export function isPowerEvent(event: ResolutionEvent): boolean {
  switch (event.type) {
    case 'm.room.power_levels':
    case 'm.room.join_rules':
    case 'm.room.create':
      return event.stateKey === '';
    case 'm.room.member': {
      const { membership } = event.content;
      return (membership === 'leave' || membership === 'ban') && event.sender !== event.stateKey;
    }
    default:
      return false;
  }
}

/**
 * The power events of the full conflicted set, with what in the set stands behind them in their auth chains, in reverse
 * topological power ordering. Source: rooms/v2, "Definitions".
 *
 * @throws {AuthChainCycleError} if some of them authorise each other in a circle.
 */
export function inPowerOrder(
  fullConflictedSet: ReadonlyMap<string, ResolutionEvent>,
  context: ResolutionContext,
): ResolutionEvent[] {
  const nodes = selectNodes(fullConflictedSet, context);
  const ready = new Heap<Node>(compareNodes);
  for (const node of nodes.values()) {
    if (node.waitsFor === 0) ready.push(node);
  }
  const ordered: ResolutionEvent[] = [];
  for (let node = ready.pop(); node !== undefined; node = ready.pop()) {
    ordered.push(node.event);
    for (const dependent of node.dependents) {
      dependent.waitsFor -= 1;
      if (dependent.waitsFor === 0) ready.push(dependent);
    }
  }
  if (ordered.length < nodes.size) {
    for (const node of nodes.values()) {
      if (node.waitsFor > 0) throw new AuthChainCycleError(node.event.eventId);
    }
  }
  return ordered;
}

interface Node {
  readonly event: ResolutionEvent;
  readonly power: Level;
  readonly dependents: Node[];
  /** How many of its auth events in the graph are not in order yet. */
  waitsFor: number;
}

function selectNodes(
  fullConflictedSet: ReadonlyMap<string, ResolutionEvent>,
  context: ResolutionContext,
): Map<string, Node> {
  const nodes = new Map<string, Node>();
  const pending: Node[] = [];
  const nodeOf = (event: ResolutionEvent): Node => {
    const known = nodes.get(event.eventId);
    if (known !== undefined) return known;
    const node: Node = { event, power: powerOfSender(event, context), dependents: [], waitsFor: 0 };
    nodes.set(event.eventId, node);
    pending.push(node);
    return node;
  };
  for (const event of fullConflictedSet.values()) {
    if (isPowerEvent(event)) nodeOf(event);
  }
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    for (const id of new Set(chainLinksOf(node.event, context.rules))) {
      const authEvent = fullConflictedSet.get(id);
      if (authEvent === undefined) continue;
      nodeOf(authEvent).dependents.push(node);
      node.waitsFor += 1;
    }
  }
  return nodes;
}

/** Greater power first, then earlier, then by id. */
function compareNodes(a: Node, b: Node): number {
  if (a.power !== b.power) return a.power > b.power ? -1 : 1;
  return compareByTime(a.event, b.event);
}

/** Earlier first, then by id. Source: rooms/v2, "State resolution", "Reverse topological power ordering". */
export function compareByTime(a: ResolutionEvent, b: ResolutionEvent): number {
  if (a.originServerTs !== b.originServerTs) return a.originServerTs < b.originServerTs ? -1 : 1;
  return compareCodePoints(a.eventId, b.eventId);
}

const NO_CREATE = { sender: '', content: {} };

/** The power that the sender of an event had by the event's own auth events. */
function powerOfSender(event: ResolutionEvent, { event: lookup, rules }: ResolutionContext): Level {
  let create: ResolutionEvent | undefined;
  let levels: ResolutionEvent | undefined;
  for (const authEvent of authEventsOf(event, lookup, rules)) {
    if (isPowerLevels(authEvent)) levels = authEvent;
    else if (authEvent.type === 'm.room.create' && authEvent.stateKey === '') create = authEvent;
  }
  return powerLevelsOf(levels?.content, create ?? NO_CREATE, rules).powerLevelOf(event.sender);
}
