import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getDelayedEvent, getDelayedEvents } from './get-delayed-events.ts';
import { putDelayedEvent } from './put-delayed-event.ts';
import { delayedEventActions, updateDelayedEvent } from './update-delayed-event.ts';

/** Events that are sent later. */
export const delayedEventEndpoints: readonly Endpoint<Context>[] = [
  putDelayedEvent,
  getDelayedEvents,
  getDelayedEvent,
  updateDelayedEvent,
  ...delayedEventActions,
];
