/**
 * The shape of a filter. Members that the specification does not name are ignored, since clients try out proposals with
 * them; those it names have to be right. https://spec.matrix.org/v1.19/client-server-api/#filtering
 */
import { z } from 'zod';

/** Most entries of one list of a filter. */
export const MAX_FILTER_LIST_ENTRIES = 2000;
/** Longest entry of a list, in UTF-16 code units: a path of event fields may name a few long keys. */
const MAX_FILTER_ENTRY_LENGTH = 1024;

const list = (entry: z.ZodString) =>
  z.array(entry.max(MAX_FILTER_ENTRY_LENGTH)).max(MAX_FILTER_LIST_ENTRIES).optional();
const types = list(z.string());
const senders = list(z.string().startsWith('@', 'is not a user id'));
const rooms = list(z.string().startsWith('!', 'is not a room id'));

const eventFilter = z.object({
  // The specification wants more than 0, but clients ask for no events with 0, and other homeservers take it.
  limit: z.int().min(0).optional(),
  types,
  not_types: types,
  senders,
  not_senders: senders,
});

/** A RoomEventFilter: also the `filter` parameter of `/messages` and `/context`. */
export const roomEventFilterSchema = eventFilter.extend({
  rooms,
  not_rooms: rooms,
  contains_url: z.boolean().optional(),
  lazy_load_members: z.boolean().optional(),
  include_redundant_members: z.boolean().optional(),
  unread_thread_notifications: z.boolean().optional(),
  // MSC3440: only events to which others relate, in these ways or by these users.
  related_by_senders: senders,
  related_by_rel_types: types,
  // MSC3874: only events that relate to others in these ways, or that do not.
  'org.matrix.msc3874.rel_types': types,
  'org.matrix.msc3874.not_rel_types': types,
});

/** A whole filter: what is uploaded, and the inline `filter` parameter of `/sync`. */
export const filterSchema = z.object({
  event_fields: list(z.string()),
  event_format: z.enum(['client', 'federation']).optional(),
  presence: eventFilter.optional(),
  account_data: eventFilter.optional(),
  room: z
    .object({
      rooms,
      not_rooms: rooms,
      include_leave: z.boolean().optional(),
      ephemeral: roomEventFilterSchema.optional(),
      state: roomEventFilterSchema.optional(),
      timeline: roomEventFilterSchema.optional(),
      account_data: roomEventFilterSchema.optional(),
    })
    .optional(),
});

export type EventFilterJson = z.output<typeof eventFilter>;
export type RoomEventFilterJson = z.output<typeof roomEventFilterSchema>;
