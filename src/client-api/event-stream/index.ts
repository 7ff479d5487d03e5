import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getEventById } from './get-event.ts';
import { getEvents } from './get-events.ts';

/** The event stream of old. */
export const eventStreamEndpoints: readonly Endpoint<Context>[] = [getEvents, getEventById];
