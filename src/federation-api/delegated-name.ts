/** Where a domain says that its Matrix server is, as far as the configuration tells. */
import { parseServerName } from '#protocol/server-name.ts';
import { isLoopback } from '#src/config/rules.ts';
import type { Config } from '#src/config/schema.ts';

const HTTPS_PORT = 443;

/**
 * The host and port that `/.well-known/matrix/server` names; undefined where there should be none: other servers then find this
 * one by SRV records or on port 8448.
 *
 * What listens at `public_base_url` serves other servers too if each listener that serves clients does: then it is that host and
 * its port, so that one reverse proxy on port 443 is enough. Otherwise it is that host with the port of a listener that serves
 * other servers with a certificate of its own. A server name with a port, or an address, is never looked up this way.
 */
export function delegatedName({
  server_name: serverName,
  public_base_url: base,
  listeners,
}: Config): string | undefined {
  const name = parseServerName(serverName);
  const url = new URL(base);
  if (name === undefined || name.kind !== 'dns' || name.port !== undefined || url.protocol !== 'https:')
    return undefined;
  const clients = listeners.filter(({ serves }) => serves.includes('client'));
  if (clients.length > 0 && clients.every(({ serves }) => serves.includes('federation'))) {
    return `${url.hostname}:${url.port === '' ? HTTPS_PORT : url.port}`;
  }
  const direct = listeners.find(
    ({ serves, tls, bind }) => serves.includes('federation') && tls !== null && !isLoopback(bind),
  );
  return direct === undefined ? undefined : `${url.hostname}:${direct.port}`;
}
