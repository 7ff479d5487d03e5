import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { reportEvent } from './report-event.ts';
import { reportRoom } from './report-room.ts';
import { reportUser } from './report-user.ts';

/** Telling moderators of what is objectionable. */
export const reportEndpoints: readonly Endpoint<Context>[] = [reportRoom, reportEvent, reportUser];
