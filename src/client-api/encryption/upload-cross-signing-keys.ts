import { z } from 'zod';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import {
  checkCrossSigningKeys,
  crossSigningKeysOf,
  needsConfirmation,
  storeCrossSigningKeys,
} from '#src/encryption/cross-signing.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { authSchema, confirmedByPassword } from '../accounts/interactive.ts';

const PATH = '/_matrix/client/v3/keys/device_signing/upload';
const key = z.looseObject({}).nullish();

/**
 * `POST /_matrix/client/v3/keys/device_signing/upload`: publishes cross-signing keys of the user. Has to be confirmed, but
 * for the first ones and for those that are there already.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload
 */
export const postDeviceSigningUpload = endpoint({
  method: 'POST',
  path: PATH,
  aliases: ['/_matrix/client/unstable/keys/device_signing/upload'],
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ auth: authSchema, master_key: key, self_signing_key: key, user_signing_key: key }),
  handler: async ({ body, requester, ip }, context: Context) => {
    const keys = crossSigningKeysOf(body as JsonObject, requester.userId);
    checkCrossSigningKeys(context.reader, requester.userId, keys);
    if (!needsConfirmation(context.reader, requester.userId, keys)) {
      await storeCrossSigningKeys(context, requester.userId, keys, false);
      return {};
    }
    // For a while after an administrator allowed it: who signs in elsewhere than here has no password to confirm it with.
    if ((context.accounts.find(requester.userId)?.keysReplaceableUntilMs ?? 0) > context.clock()) {
      await storeCrossSigningKeys(context, requester.userId, keys, true);
      return {};
    }
    return confirmedByPassword(context, { operation: `POST ${PATH}`, body, requester, ip }, async (userId) => {
      await storeCrossSigningKeys(context, userId, keys, true);
      return {};
    });
  },
});
