import { createHmac } from 'node:crypto';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/voip/turnServer`: credentials for the TURN servers of the configuration, made from the secret that
 * they share with this server, good for a while. Without TURN servers the answer is empty, which is how clients know.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver
 * https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00
 */
export const turnServer = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/voip/turnServer',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester }, { config: { turn }, clock }: Pick<Context, 'config' | 'clock'>) => {
    if (turn.uris.length === 0 || turn.shared_secret === null) return {};
    const lifetimeS = Math.floor(turn.lifetime / 1000);
    const username = `${Math.floor(clock() / 1000) + lifetimeS}:${requester.userId}`;
    // The scheme that TURN servers know is bound to SHA-1.
    const password = createHmac('sha1', turn.shared_secret).update(username).digest('base64');
    return { username, password, ttl: lifetimeS, uris: turn.uris };
  },
});
