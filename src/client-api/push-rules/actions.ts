import { z } from 'zod';

/** Most actions of one rule. */
const MAX_ACTIONS = 32;

/**
 * The actions of a rule in a request. `dont_notify` and `coalesce` are historical: they are kept as they were sent, since
 * clients compare, and do nothing.
 * https://spec.matrix.org/v1.19/client-server-api/#actions
 */
export const actionsSchema = z
  .array(
    z.union([
      z.enum(['notify', 'dont_notify', 'coalesce']),
      z.object({ set_tweak: z.string().max(255), value: z.json().optional() }),
    ]),
  )
  .max(MAX_ACTIONS);
