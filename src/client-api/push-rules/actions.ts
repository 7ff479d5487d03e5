import { z } from 'zod';
import type { PushAction } from '#src/push/rules.ts';

/** Most actions of one rule. */
const MAX_ACTIONS = 32;
/** Once in the specification; they do nothing, so they are not kept. */
const HISTORICAL: ReadonlySet<unknown> = new Set(['dont_notify', 'coalesce']);

/** The actions of a rule in a request. https://spec.matrix.org/v1.19/client-server-api/#actions */
export const actionsSchema = z
  .array(
    z.union([
      z.enum(['notify', 'dont_notify', 'coalesce']),
      z.object({ set_tweak: z.string().max(255), value: z.json().optional() }),
    ]),
  )
  .max(MAX_ACTIONS)
  .transform((actions): PushAction[] => actions.filter((action) => !HISTORICAL.has(action)));
