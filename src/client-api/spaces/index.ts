import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { hierarchy } from './hierarchy.ts';
import { getRoomSummary } from './room-summary.ts';

/** Looking into rooms and spaces before joining them. */
export const spaceEndpoints: readonly Endpoint<Context>[] = [hierarchy, getRoomSummary];
