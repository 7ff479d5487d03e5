import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { deleteDehydrated, getDehydrated, postDehydratedEvents, putDehydrated } from './dehydrated-device.ts';

/** Devices that take in messages while their user is logged in nowhere. */
export const dehydratedDeviceEndpoints: readonly Endpoint<Context>[] = [
  putDehydrated,
  getDehydrated,
  deleteDehydrated,
  postDehydratedEvents,
];
