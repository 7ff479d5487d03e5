import { z } from 'zod';
import { encodeBase64 } from '#protocol/base64.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** `POST /_stele/operator/keys/list` on the operator's socket: the signing keys of this server, the one in use first. */
export const listSigningKeys = endpoint({
  method: 'POST',
  path: '/_stele/operator/keys/list',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({}),
  audit: { action: 'key.list' },
  handler: (_request, { federation }: Pick<Context, 'federation'>) => ({
    keys: federation.ownKeys.list().map(({ keyId, publicKey, expiredTs }) => ({
      key_id: keyId,
      public_key: encodeBase64(publicKey),
      /** Milliseconds since the epoch; null for the key in use. */
      expired_ts: expiredTs ?? null,
    })),
  }),
});
