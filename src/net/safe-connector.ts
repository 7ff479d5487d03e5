/**
 * Connections to hosts that somebody else names: other servers, pages to preview, push gateways. A name may lead anywhere, into
 * the network of this server too, so the address is looked up here, checked, and then connected to as it was checked: a name
 * server that answers differently the second time is not asked a second time.
 */
import { isIP, type LookupFunction, type Socket, connect as tcpConnect } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  connect as tlsConnect,
} from 'node:tls';
import type { buildConnector } from 'undici';
import { createLookup, type LookupAddresses, NameNotResolved } from './name-lookup.ts';
import { isPublicAddress } from './public-addresses.ts';

/** How long a connection may take to be made, TLS included. */
const CONNECT_TIMEOUT_MS = 10_000;
/** How long one address of several is tried before the next. */
const ATTEMPT_TIMEOUT_MS = 1500;
/** Most addresses of a name that are tried. */
const MAX_ADDRESSES = 6;

/** All addresses of a host are ones that this server does not connect to. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
}

export interface SafeConnectorOptions {
  /** Whether loopback, private and other special addresses are connected to. */
  readonly allowPrivate: boolean;
  /** Certificate authorities to trust beside the usual ones, as PEM. */
  readonly ca?: string | undefined;
  /** Whether certificates are verified; default true. */
  readonly verifyTls?: boolean;
  /** Default: the name servers of the system. */
  readonly lookup?: LookupAddresses;
  /** For the whole of a connection; default 10 s. */
  readonly timeoutMs?: number;
}

/** Where to connect to. */
export interface DialTarget {
  /** A name, or an address (IPv6 without brackets). */
  readonly host: string;
  readonly port: number;
  /** The name or address that the certificate has to be for; undefined for a connection without TLS. */
  readonly certName: string | undefined;
  /** Where a connection is worth less waiting than usual. */
  readonly timeoutMs?: number;
}

/**
 * Opens a checked connection. Rejects with {@link AddressRefused}, with NameNotResolved, or with what node:net or node:tls
 * found (its `code` says what: ECONNREFUSED, ETIMEDOUT, CERT_HAS_EXPIRED, ERR_TLS_CERT_ALTNAME_INVALID, …).
 */
export type Dial = (target: DialTarget) => Promise<Socket>;

/** Makes a function that opens checked connections. Certificates are read once, so make one and keep it. */
export function safeDialer(options: SafeConnectorOptions): Dial {
  const { allowPrivate, ca, verifyTls = true, timeoutMs = CONNECT_TIMEOUT_MS } = options;
  const lookup = options.lookup ?? createLookup();
  const secureContext = createSecureContext(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] });
  return async (target) => {
    const addresses = isIP(target.host) === 0 ? await lookup(target.host) : [target.host];
    if (addresses.length === 0) throw new NameNotResolved(`${target.host} has no address`);
    const allowed = allowPrivate ? addresses : addresses.filter(isPublicAddress);
    if (allowed.length === 0) {
      throw new AddressRefused(`${target.host} is at ${addresses.join(', ')}, where this server does not connect to`);
    }
    const socket = await open(target, allowed.slice(0, MAX_ADDRESSES), {
      secureContext,
      verifyTls,
      timeoutMs: Math.min(timeoutMs, target.timeoutMs ?? timeoutMs),
    });
    if (!allowPrivate && !isPublicAddress(socket.remoteAddress ?? '')) {
      socket.destroy();
      throw new AddressRefused(`${target.host} turned out to be at ${socket.remoteAddress}`);
    }
    return socket;
  };
}

/**
 * The same as a `connect` function of undici: `new Agent({ connect: safeConnector({ allowPrivate: false }) })`. The
 * certificate has to be for the host of the URL, whatever the Host header says.
 */
export function safeConnector(options: SafeConnectorOptions): buildConnector.connector {
  return connectorOf(safeDialer(options));
}

/** A `connect` function of undici around any way to open connections. */
export function connectorOf(dial: Dial): buildConnector.connector {
  return ({ hostname, protocol, port }, callback) => {
    const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    const isTls = protocol === 'https:';
    const usualPort = isTls ? 443 : 80;
    dial({ host, port: port === '' ? usualPort : Number(port), certName: isTls ? host : undefined }).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    );
  };
}

interface OpenOptions {
  readonly secureContext: SecureContext;
  readonly verifyTls: boolean;
  readonly timeoutMs: number;
}

function open(target: DialTarget, addresses: readonly string[], options: OpenOptions): Promise<Socket> {
  const { host, port, certName } = target;
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  // What TLS needs is made once somebody is there: hosts that are gone cost next to nothing.
  const tcp = tcpConnect({
    host: isIP(host) === 0 ? host : (addresses[0] ?? host),
    port,
    lookup: answerWith(addresses),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ATTEMPT_TIMEOUT_MS,
    noDelay: true,
    keepAlive: true,
  });
  let socket: Socket = tcp;
  const timer = setTimeout(() => {
    socket.destroy(Object.assign(new Error(`${host}:${port} did not answer in time`), { code: 'ETIMEDOUT' }));
  }, options.timeoutMs);
  const fail = (error: Error): void => {
    clearTimeout(timer);
    reject(error);
  };
  const succeed = (): void => {
    clearTimeout(timer);
    socket.off('error', fail);
    resolve(socket);
  };
  tcp.once('error', fail);
  tcp.once('connect', () => {
    if (certName === undefined) {
      succeed();
      return;
    }
    // From here on what befalls the connection befalls what is around it.
    tcp.off('error', fail);
    socket = tlsConnect({
      socket: tcp,
      ...nameToVerify(certName),
      secureContext: options.secureContext,
      rejectUnauthorized: options.verifyTls,
      ALPNProtocols: ['http/1.1'],
    });
    socket.once('error', fail);
    socket.once('secureConnect', succeed);
  });
  return promise;
}

/** There is no SNI for addresses; the certificate is checked against the name or address, whatever host it is reached at. */
function nameToVerify(certName: string): Pick<ConnectionOptions, 'servername' | 'checkServerIdentity'> {
  return {
    servername: isIP(certName) === 0 ? certName : '',
    checkServerIdentity: (_host, certificate) => checkServerIdentity(certName, certificate),
  };
}

function answerWith(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_hostname, options, callback) => {
    if (options.all === true) callback(null, all);
    else callback(null, all[0]?.address ?? '', all[0]?.family ?? 4);
  };
}
