/** Servers that find each other by name in one process, over real TLS on loopback. */
import type { AddressInfo, Socket } from 'node:net';
import { type SigningKey, signingKeyFromSeed } from '#protocol/signing.ts';
import type { FederationNetwork } from '#src/federation/federation.ts';
import type { SrvRecord } from '#src/federation/srv.ts';
import { POLICY_KEY_ID } from '#src/rooms/policy.ts';
import { startApplication, type TestApplication } from './application.ts';
import { TLS_FILES, TLS_PATHS } from './tls-peer.ts';

/** The names that the test certificate is for. */
export type TestServerName = 'one.test' | 'two.test' | 'three.test';

/** Which name is at which port of this machine; the names are as in test/fixtures/tls. */
export class TestNetwork {
  readonly #ports = new Map<string, number>();
  /** Ports by `host:port` that somebody wants to connect to, for what has to be at a certain port. */
  readonly #redirected = new Map<string, number>();
  /** Names that cannot be reached at the moment. */
  readonly #cutOff = new Set<string>();
  readonly #connections = new Map<string, Set<Socket>>();
  /** Every `host:port` that was connected to, or would have been. */
  readonly dialled: string[] = [];

  /** Has SRV records for a name lead to a port. */
  place(name: string, port: number): void {
    this.#ports.set(name, port);
  }

  /** Has a port of a name be another port, such as 443. */
  redirect(host: string, port: number, to: number): void {
    this.#redirected.set(`${host}:${port}`, to);
  }

  /** Makes a name unreachable, or reachable again. Connections that there are go on. */
  setReachable(name: string, isReachable: boolean): void {
    if (isReachable) this.#cutOff.delete(name);
    else this.#cutOff.add(name);
  }

  /** Makes a name unreachable, and ends the connections to it. */
  cutOff(name: string): void {
    this.setReachable(name, false);
    for (const socket of this.#connections.get(name) ?? []) socket.destroy();
  }

  #connected(name: string, socket: Socket): Socket {
    const connections = this.#connections.get(name) ?? new Set();
    this.#connections.set(name, connections);
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    return socket;
  }

  /** The network as one server sees it. */
  get view(): FederationNetwork {
    return {
      lookup: async () => ['127.0.0.1'],
      lookupSrv: async (name): Promise<SrvRecord[]> => {
        const port = this.#ports.get(name.replace(/^_matrix-fed\._tcp\./, ''));
        return port === undefined ? [] : [{ name: `host-of-${name}`, port, priority: 1, weight: 1 }];
      },
      wrapDial: (dial) => (target) => {
        const { host, port, certName } = target;
        this.dialled.push(`${host}:${port}`);
        const isNowhere = port === 443 || port === 8448;
        const to = this.#redirected.get(`${host}:${port}`) ?? (isNowhere ? undefined : port);
        if (to === undefined || this.#cutOff.has(certName ?? host)) {
          return Promise.reject(Object.assign(new Error(`nothing is at ${host}:${port}`), { code: 'ECONNREFUSED' }));
        }
        return dial({ ...target, port: to }).then((socket) => this.#connected(certName ?? host, socket));
      },
    };
  }
}

/** A server that listens with TLS and can be found under its name. */
export interface TestServer extends TestApplication {
  readonly name: string;
  readonly port: number;
  readonly signingKey: SigningKey;
}

/** A key that only this name has. */
export function testSigningKey(name: string): SigningKey {
  return signingKeyFromSeed(`ed25519:${name.replaceAll('.', '_')}`, Buffer.alloc(32, name));
}

/** A key with which only this name signs as a policy server. */
export function testPolicyKey(name: string): SigningKey {
  return signingKeyFromSeed(POLICY_KEY_ID, Buffer.alloc(32, `policy of ${name}`));
}

/** Starts a server. `federation` settings are laid over those that let servers of the test find each other. */
export async function startServerOn(
  network: TestNetwork,
  name: TestServerName,
  settings: { readonly federation?: object; readonly policy_server?: object; readonly [setting: string]: unknown } = {},
): Promise<TestServer> {
  const signingKey = testSigningKey(name);
  let rotations = 0;
  const application = await startApplication(
    {
      server_name: name,
      ...settings,
      federation: { allow_private_addresses: true, ca_file: TLS_PATHS.ca, ...settings.federation },
    },
    {
      signingKey,
      ...(settings.policy_server && { policyKey: testPolicyKey(name) }),
      replaceKey: async () => {
        rotations += 1;
        return signingKeyFromSeed(`${signingKey.keyId}_${rotations}`, Buffer.alloc(32, `${name} ${rotations}`));
      },
      network: network.view,
      tls: TLS_FILES.servers,
    },
  );
  await application.http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = application.http.server.address() as AddressInfo;
  network.place(name, port);
  return { ...application, name, port, signingKey };
}
