import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deleteSubscription } from './delete-subscription.ts';
import { getSubscription } from './get-subscription.ts';
import { listSubscriptions } from './list-subscriptions.ts';
import { putSubscription } from './put-subscription.ts';

/** Which threads users follow. */
export const threadSubscriptionEndpoints: readonly Endpoint<Context>[] = [
  getSubscription,
  putSubscription,
  deleteSubscription,
  listSubscriptions,
];
