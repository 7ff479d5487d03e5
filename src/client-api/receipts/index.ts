import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { postReadMarkers } from './post-read-markers.ts';
import { postReceipt } from './post-receipt.ts';

/** How far users have read. */
export const receiptEndpoints: readonly Endpoint<Context>[] = [postReceipt, postReadMarkers];
