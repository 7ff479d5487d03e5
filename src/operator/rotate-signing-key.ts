import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';

/** `POST /_stele/operator/keys/rotate` on the operator's socket: signs with a new key from now on, as `stele keys rotate` asks. */
export const rotateSigningKey = endpoint({
  method: 'POST',
  path: '/_stele/operator/keys/rotate',
  auth: 'none',
  rateLimit: 'none',
  body: z.object({}),
  audit: {
    action: 'key.rotate',
    describe: (_request, { federation }: Pick<Context, 'federation'>) => {
      const id = federation.ownKeys.list()[0]?.keyId ?? 'unknown';
      return { target: { kind: 'key', id }, before: { key_id: id } };
    },
  },
  handler: async (_request, { federation }: Pick<Context, 'federation'>) => {
    try {
      const { keyId, oldKeyId } = await federation.ownKeys.rotate();
      return { key_id: keyId, old_key_id: oldKeyId };
    } catch (error) {
      // Who asks here may know what file it is about.
      throw new MatrixError('M_UNKNOWN', error instanceof Error ? error.message : String(error), { cause: error });
    }
  },
});
