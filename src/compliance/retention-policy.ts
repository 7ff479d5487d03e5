/** From the settings to the retention policy of the server, and from a room's state to its own. */
import type { ItemClass, Lifetime, RetentionPolicy } from '#projections/compliance/records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { contentOf } from '#projections/rooms/event-content.ts';
import { findRoom, stateEvent } from '#projections/rooms/queries.ts';
import type { Config } from '#src/config/schema.ts';
import type { RoomRetention } from './decision/decide.ts';

/** The state event in which a room says how long its messages are kept. Source: MSC1763. */
export const RETENTION_TYPE = 'm.room.retention';
/** The same, from before the type was settled. */
const UNSTABLE_RETENTION_TYPE = 'org.matrix.msc1763.retention';

/** The policy that the settings make. Lifetimes in milliseconds. */
export function policyOf({ retention }: Pick<Config, 'retention'>): RetentionPolicy {
  const { classes, room_bounds: bounds, redacted } = retention;
  const lifetime = (name: ItemClass): Lifetime => {
    const settings = classes[name];
    return {
      minMs: settings.min ?? 0,
      maxMs: 'max' in settings ? settings.max : null,
      legalBasis: settings.legal_basis,
    };
  };
  return {
    classes: {
      messages: lifetime('messages'),
      state: lifetime('state'),
      media: lifetime('media'),
      receipts: lifetime('receipts'),
      to_device: lifetime('to_device'),
      access_logs: lifetime('access_logs'),
      evidence: lifetime('evidence'),
      account: lifetime('account'),
      key_backup: lifetime('key_backup'),
    },
    roomBounds: { minMs: bounds.min ?? 0, maxMs: bounds.max },
    redactedMs: redacted,
  };
}

/** What a room asks for; undefined where it asks for nothing that makes sense. */
export function roomRetention(reader: Reader, roomId: string): RoomRetention | undefined {
  const room = findRoom(reader, roomId);
  if (room === undefined) return undefined;
  const event =
    stateEvent(reader, room.id, RETENTION_TYPE, '') ?? stateEvent(reader, room.id, UNSTABLE_RETENTION_TYPE, '');
  if (event === undefined) return undefined;
  const { min_lifetime: min, max_lifetime: max } = contentOf(event);
  const minMs = lifetimeMs(min);
  const maxMs = lifetimeMs(max);
  if (minMs === null && maxMs === null) return undefined;
  // A room that contradicts itself has said nothing. Source: MSC1763.
  if (minMs !== null && maxMs !== null && minMs > maxMs) return undefined;
  return { minMs, maxMs };
}

function lifetimeMs(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
