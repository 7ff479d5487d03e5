/**
 * How other servers are reached. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/usage/administration/admin_api/federation.html
 */
import { z } from 'zod';
import { downDestinationsOf } from '#projections/federation/destinations.ts';
import { sentPosition } from '#projections/federation/sent.ts';
import { headOf, knownServers, roomById, roomsOfServer } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { queryChoice, queryText } from '#src/http/query.ts';
import { onlyPageQuery, ordered, pageOf, pageQuery } from '../paging.ts';

const LIST = '/_synapse/admin/v1/federation/destinations';
const ONE = '/_synapse/admin/v1/federation/destinations/{destination}';

type DestinationsContext = Pick<Context, 'reader' | 'federation' | 'serverName'>;

interface DestinationJson {
  readonly destination: string;
  /** When it was tried last; 0 for one that is reached. */
  readonly retry_last_ts: number;
  /** How long it is left alone, in milliseconds; 0 likewise. */
  readonly retry_interval: number;
  /** Since when it cannot be reached. */
  readonly failure_ts: number | null;
  /** Up to which position of the log it has got everything. */
  readonly last_successful_stream_ordering: number | null;
}

const ORDERS = [
  'destination',
  'retry_last_ts',
  'retry_interval',
  'failure_ts',
  'last_successful_stream_ordering',
] as const;

/** `GET …/destinations`. */
export const listDestinations = endpoint({
  method: 'GET',
  path: LIST,
  auth: 'admin',
  may: 'federation.read',
  audit: { action: 'federation.read' },
  rateLimit: 'none',
  query: z.object({
    ...pageQuery,
    destination: queryText().optional(),
    order_by: queryChoice(ORDERS).default('destination'),
  }),
  handler: ({ query }, context: DestinationsContext) => {
    const wanted = query.destination?.toLowerCase();
    const all = namesOf(context)
      .filter((name) => wanted === undefined || name.toLowerCase().includes(wanted))
      .map((name) => describedOne(context, name));
    const { page, next } = pageOf(
      ordered(all, (one) => one[query.order_by], query.dir),
      query,
    );
    return { destinations: page, total: all.length, ...(next !== undefined && { next_token: String(next) }) };
  },
});

/** `GET …/destinations/{destination}`. */
export const getDestination = endpoint({
  method: 'GET',
  path: ONE,
  auth: 'admin',
  may: 'federation.read',
  audit: {
    action: 'federation.read',
    describe: ({ params }) => ({ target: { kind: 'server', id: params.destination } }),
  },
  rateLimit: 'none',
  handler: ({ params }, context: DestinationsContext) => describedOne(context, known(context, params.destination)),
});

/** `GET …/destinations/{destination}/rooms`: the rooms that are shared with it. */
export const destinationRooms = endpoint({
  method: 'GET',
  path: `${ONE}/rooms`,
  auth: 'admin',
  may: 'federation.read',
  audit: {
    action: 'federation.read',
    describe: ({ params }) => ({ target: { kind: 'server', id: params.destination } }),
  },
  rateLimit: 'none',
  query: onlyPageQuery,
  handler: ({ params, query }, context: DestinationsContext) => {
    const { reader } = context;
    const rooms = [...roomsOfServer(reader, known(context, params.destination))].flatMap((id) => {
      const room = roomById(reader, id);
      return room === undefined ? [] : [{ room_id: room.roomId, stream_ordering: headOf(reader, id)?.latest ?? 0 }];
    });
    const { page, next } = pageOf(query.dir === 'f' ? rooms : rooms.reverse(), query);
    return { rooms: page, total: rooms.length, ...(next !== undefined && { next_token: String(next) }) };
  },
});

/** `POST …/destinations/{destination}/reset_connection`: it is tried again at once. */
export const resetDestination = endpoint({
  method: 'POST',
  path: `${ONE}/reset_connection`,
  auth: 'admin',
  may: 'federation.write',
  rateLimit: 'none',
  audit: {
    action: 'federation.reset',
    describe: ({ params }, context: DestinationsContext) => ({
      target: { kind: 'server', id: params.destination },
      before: describedOne(context, known(context, params.destination)),
    }),
  },
  handler: ({ params }, { federation }: DestinationsContext) => {
    federation.destinations.alive(params.destination);
    return {};
  },
});

/** Servers that are in rooms with this one, or in trouble. */
function namesOf({ reader, serverName }: DestinationsContext): string[] {
  const names = new Set(knownServers(reader));
  for (const { destination } of downDestinationsOf(reader)) names.add(destination);
  names.delete(serverName);
  return [...names].sort();
}

function known(context: DestinationsContext, destination: string): string {
  const { reader, federation } = context;
  const isThere =
    federation.destinations.troubleOf(destination) !== undefined ||
    sentPosition(reader, destination) >= 0 ||
    !roomsOfServer(reader, destination).next().done;
  if (!isThere || destination === context.serverName) throw notFound('This server knows no such destination.');
  return destination;
}

function describedOne({ reader, federation }: DestinationsContext, destination: string): DestinationJson {
  const trouble = federation.destinations.troubleOf(destination);
  const sent = sentPosition(reader, destination);
  return {
    destination,
    retry_last_ts: trouble === undefined ? 0 : trouble.retryAtMs - trouble.intervalMs,
    retry_interval: trouble?.intervalMs ?? 0,
    failure_ts: trouble?.sinceMs ?? null,
    last_successful_stream_ordering: sent < 0 ? null : sent,
  };
}
