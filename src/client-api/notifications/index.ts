import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { getNotifications } from './get-notifications.ts';

/** What users have been notified of. */
export const notificationEndpoints: readonly Endpoint<Context>[] = [getNotifications];
