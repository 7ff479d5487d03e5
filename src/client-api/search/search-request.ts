/** What a search asks for. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search */
import { z } from 'zod';
import { SEARCH_KEYS } from '#projections/search/document.ts';
import { roomEventFilterSchema } from '../filters/filter-schema.ts';

/** Longest term, in UTF-16 code units. */
const MAX_TERM_LENGTH = 4096;
/** Events before or after a result when the client does not say. Source: the endpoint's specification. */
const DEFAULT_CONTEXT = 5;
/** Most events before or after a result. */
const MAX_CONTEXT = 50;

const contextLimit = z
  .int()
  .min(0)
  .default(DEFAULT_CONTEXT)
  .transform((limit) => Math.min(limit, MAX_CONTEXT));

/** The criteria of `room_events`. */
export const roomEventsSchema = z.object({
  search_term: z.string().max(MAX_TERM_LENGTH),
  keys: z.array(z.enum(SEARCH_KEYS)).max(SEARCH_KEYS.length).optional(),
  filter: roomEventFilterSchema.optional(),
  order_by: z.enum(['rank', 'recent']).default('rank'),
  event_context: z
    .object({ before_limit: contextLimit, after_limit: contextLimit, include_profile: z.boolean().default(false) })
    .optional(),
  include_state: z.boolean().default(false),
  groupings: z
    .object({
      group_by: z
        .array(z.object({ key: z.enum(['room_id', 'sender']) }))
        .max(2)
        .default([]),
    })
    .optional(),
});

export type RoomEventsCriteria = z.output<typeof roomEventsSchema>;

/** The body of a search. */
export const searchBodySchema = z.object({
  search_categories: z.object({ room_events: roomEventsSchema.optional() }),
});
