/** Sends what is next for pushers, so many at a time, saying what is unread at that moment. */
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, roomById } from '#projections/rooms/queries.ts';
import { Slots } from '#src/federation/slots.ts';
import type { UnreadCounts } from '../unread.ts';
import type { Badges } from './badges.ts';
import { type Gateway, type GatewayAnswer, GatewayFailed } from './gateway.ts';
import { countsNotification, eventNotification } from './notification.ts';
import type { Next, PusherQueue } from './pusher-queue.ts';

/** Notifications on their way to one gateway at a time: a slow one keeps no others waiting. */
export const MAX_PER_GATEWAY = 8;
/** Notifications on their way altogether. */
export const MAX_ON_THEIR_WAY = 256;
/** Pushers that wait for a turn at one gateway; beyond it they try again later. */
const MAX_WAITING_PER_GATEWAY = 100_000;

export interface DeliveriesOptions {
  readonly reader: Reader;
  readonly unread: UnreadCounts;
  readonly badges: Badges;
  readonly gateway: Gateway;
  /** Breaks off what is on its way. */
  readonly signal: AbortSignal;
}

/** A notification, and how much it says is unread. */
interface Made {
  readonly json: string;
  readonly unread: number;
}

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #perGateway = new Slots({ perName: MAX_PER_GATEWAY, maxWaiting: MAX_WAITING_PER_GATEWAY });
  readonly #altogether = new Slots({ perName: MAX_ON_THEIR_WAY, maxWaiting: MAX_WAITING_PER_GATEWAY });

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Resolves with undefined where there is nothing to say any more. Rejects with {@link GatewayFailed}, or the signal's reason. */
  async send(queue: PusherQueue, next: Next): Promise<GatewayAnswer | undefined> {
    const { gateway, signal } = this.#options;
    const { url } = queue.active.pusher.data;
    const origin = typeof url === 'string' ? URL.parse(url)?.origin : undefined;
    if (typeof url !== 'string' || origin === undefined) return undefined;
    const leaveGateway = await this.#perGateway.take(origin, signal);
    let leave: (() => void) | undefined;
    try {
      leave = await this.#altogether.take('', signal);
      if (leaveGateway === undefined || leave === undefined) throw new GatewayFailed('too much waits for the gateway');
      const made = await this.#make(queue, next);
      if (made === undefined) return undefined;
      const answer = await gateway.notify(url, made.json, signal);
      queue.toldUnread = made.unread;
      return answer;
    } finally {
      leave?.();
      leaveGateway?.();
    }
  }

  /** What to send, as things are now; undefined for nothing: the user has read it meanwhile, or knows the count. */
  async #make(queue: PusherQueue, next: Next): Promise<Made | undefined> {
    const { reader, badges, unread: counts } = this.#options;
    const { active } = queue;
    const unread = await badges.of(active.userId);
    if (next.kind === 'counts') {
      return unread === queue.toldUnread ? undefined : { json: countsNotification(active, unread), unread };
    }
    const { room: id, event: position, outcome } = next.waiting;
    const room = roomById(reader, id);
    const event = eventAt(reader, position);
    if (room === undefined || event === undefined || event.redactedBy !== undefined) return undefined;
    if (counts.isRead(reader, room, active.userId, event)) return undefined;
    return { json: eventNotification(reader, active, { event, room, outcome }, unread), unread };
  }
}
