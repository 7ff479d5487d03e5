import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getDelayedEvents } from './get-delayed-events.ts';
import { delayedEventActions, updateDelayedEvent } from './update-delayed-event.ts';

/** Events that are sent later. */
export const delayedEventEndpoints: readonly Endpoint<Context>[] = [
  getDelayedEvents,
  updateDelayedEvent,
  ...delayedEventActions,
];
