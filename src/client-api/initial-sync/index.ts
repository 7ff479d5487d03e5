import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { initialSync } from './initial-sync.ts';
import { roomInitialSync } from './room-initial-sync.ts';

/** How clients of old began. */
export const initialSyncEndpoints: readonly Endpoint<Context>[] = [initialSync, roomInitialSync];
