import { z } from 'zod';
import { pushersOf, usersOfPushkey } from '#projections/pushers/projection.ts';
import { type Pusher, pusherRecord, pusherRemovedRecord } from '#projections/pushers/records.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, MatrixError, missingParam } from '#src/http/errors.ts';
import { jsonObjectSchema } from '../schemas.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';

/** Most pushers of one user: one for each app on each device. */
export const MAX_PUSHERS_PER_USER = 100;
/** Longest pushkey, in bytes, and app id, in characters: both are the specification's. */
const MAX_PUSHKEY_BYTES = 512;
const MAX_APP_ID_LENGTH = 64;
const MAX_NAME_LENGTH = 255;
/** Largest `data`, as JSON in UTF-16 code units; it goes with every notification. */
const MAX_DATA_LENGTH = 8 * 1024;
/** Where a push gateway takes notifications. */
const GATEWAY_PATH = '/_matrix/push/v1/notify';

const name = z.string().max(MAX_NAME_LENGTH).optional();

const pusherBody = z.object({
  app_id: z.string().min(1).max(MAX_APP_ID_LENGTH),
  pushkey: z.string().min(1),
  kind: z.string().nullable(),
  app_display_name: name,
  device_display_name: name,
  lang: name,
  profile_tag: name,
  data: jsonObjectSchema.optional(),
  append: z.boolean().default(false),
});

type PusherBody = z.output<typeof pusherBody>;

/**
 * `POST /_matrix/client/v3/pushers/set`: makes, changes or (with the kind null) removes a pusher.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset
 */
export const setPusher = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/pushers/set',
  auth: 'user',
  rateLimit: 'write',
  body: pusherBody,
  handler: async ({ body, requester }, context: UserStreamContext) => {
    const { userId, deviceId } = requester;
    if (Buffer.byteLength(body.pushkey) > MAX_PUSHKEY_BYTES) {
      throw invalidParam(`A pushkey has at most ${MAX_PUSHKEY_BYTES} bytes.`);
    }
    if (body.kind === null) {
      await removePusher(context, userId, body);
      return {};
    }
    const pusher = pusherOf(body, body.kind);
    await changeUser(context, userId, () => {
      const known = pushersOf(context.reader, userId);
      const isNew = !known.some(({ app_id, pushkey }) => app_id === pusher.app_id && pushkey === pusher.pushkey);
      if (isNew && known.length >= MAX_PUSHERS_PER_USER) {
        throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', `A user can have at most ${MAX_PUSHERS_PER_USER} pushers.`);
      }
      return [pusherRecord(context.newRecordId(), { userId, deviceId, pusher })];
    });
    if (!body.append) await takeFromOthers(context, userId, pusher);
    return {};
  },
});

/** A pushkey is of one device: whoever else was logged in on it before gets no notifications there any more. */
async function takeFromOthers(context: UserStreamContext, userId: string, pusher: Pusher): Promise<void> {
  for (const other of usersOfPushkey(context.reader, pusher.app_id, pusher.pushkey)) {
    if (other !== userId) await removePusher(context, other, pusher);
  }
}

async function removePusher(
  context: UserStreamContext,
  userId: string,
  { app_id: appId, pushkey }: Pick<Pusher, 'app_id' | 'pushkey'>,
): Promise<void> {
  await changeUser(context, userId, () => {
    if (!usersOfPushkey(context.reader, appId, pushkey).includes(userId)) return [];
    return [pusherRemovedRecord(context.newRecordId(), { userId, appId, pushkey })];
  });
}

/** @throws {MatrixError} `M_MISSING_PARAM`, `M_INVALID_PARAM` */
function pusherOf(body: PusherBody, kind: string): Pusher {
  if (kind !== 'http') throw invalidParam('Pushers of this kind are not supported; only http is.');
  const data = required(body.data, 'data');
  if (JSON.stringify(data).length > MAX_DATA_LENGTH) throw invalidParam('The data of the pusher is too large.');
  checkGateway(data.url);
  return {
    app_id: body.app_id,
    pushkey: body.pushkey,
    kind,
    app_display_name: required(body.app_display_name, 'app_display_name'),
    device_display_name: required(body.device_display_name, 'device_display_name'),
    lang: required(body.lang, 'lang'),
    data,
    ...(body.profile_tag !== undefined && { profile_tag: body.profile_tag }),
  };
}

function checkGateway(given: unknown): void {
  if (given === undefined) throw missingParam('data.url');
  const url = typeof given === 'string' ? URL.parse(given) : null;
  if (url === null || url.protocol !== 'https:' || url.pathname !== GATEWAY_PATH) {
    throw invalidParam(`data.url has to be an https URL whose path is ${GATEWAY_PATH}.`);
  }
}

function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw missingParam(name);
  return value;
}
