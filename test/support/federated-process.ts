/** Servers in processes of their own that other such servers find: their names are addresses of this machine. */
import { readFile, writeFile } from 'node:fs/promises';
import { freePort, SteleProcess } from './stele-process.ts';
import { TLS_PATHS } from './tls-peer.ts';

/** A server that has not been started yet, and its name. */
export async function makeFederatedProcess(): Promise<{ readonly stele: SteleProcess; readonly name: string }> {
  const port = await freePort();
  const name = `127.0.0.1:${port}`;
  const stele = await SteleProcess.make({
    server_name: name,
    federation: { enabled: true, allow_private_addresses: true, ca_file: TLS_PATHS.ca },
  });
  const config = JSON.parse(await readFile(stele.configFile, 'utf8')) as { listeners: object[] };
  const { cert, key } = TLS_PATHS;
  config.listeners.push({ bind: '127.0.0.1', port, serves: ['federation'], tls: { cert, key } });
  await writeFile(stele.configFile, JSON.stringify(config));
  return { stele, name };
}
