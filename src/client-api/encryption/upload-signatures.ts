import { z } from 'zod';
import { type SignedObjects, uploadSignatures } from '#src/encryption/upload-signatures.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../user-stream.ts';
import { MAX_KEYS_BODY_BYTES } from './limits.ts';

/**
 * `POST /_matrix/client/v3/keys/signatures/upload`: publishes signatures on devices and cross-signing keys.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload
 */
export const postSignaturesUpload = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/signatures/upload',
  aliases: ['/_matrix/client/unstable/keys/signatures/upload'],
  auth: 'user',
  rateLimit: 'write',
  body: z.record(z.string(), z.record(z.string(), z.looseObject({}))),
  bodyLimitBytes: MAX_KEYS_BODY_BYTES,
  handler: async ({ body, requester }, context: UserStreamContext) => ({
    failures: await uploadSignatures(context, requester.userId, body as SignedObjects),
  }),
});
