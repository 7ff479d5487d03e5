/** A time-stamp authority of one's own, made of OpenSSL: the answers are those of an implementation that nobody here wrote. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whether OpenSSL is there, with its time-stamp command. */
export async function hasOpenSsl(): Promise<boolean> {
  try {
    await run('openssl', ['version']);
    return true;
  } catch {
    return false;
  }
}

/** Runs OpenSSL; gives its output, or rejects with it. */
export async function openssl(folder: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await run('openssl', args, { cwd: folder });
  return stdout + stderr;
}

const CONFIG = `
[ req ]
distinguished_name = dn
prompt = no
[ dn ]
CN = Test
[ ca ]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[ tsa ]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[ web ]
basicConstraints = CA:false
extendedKeyUsage = serverAuth
[ tsa_default ]
serial = ./serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ ts ]
default_tsa = tsa_default
`;

/** An authority with a certificate of its own, in a folder. */
export class TimeStampAuthority {
  readonly folder: string;
  #server: Server | undefined;
  /** Changes the answer of the authority, to see that it is noticed. */
  tamper: (response: Buffer) => Buffer = (response) => response;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(folder: string): Promise<TimeStampAuthority> {
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'openssl.cnf'), CONFIG);
    await writeFile(path.join(folder, 'serial'), '01\n');
    const authority = new TimeStampAuthority(folder);
    await authority.#root('ca');
    await authority.#root('other-ca');
    await authority.#issue('tsa', 'tsa');
    await authority.#issue('web', 'web');
    return authority;
  }

  get caFile(): string {
    return path.join(this.folder, 'ca.pem');
  }

  /** Answers a request (DER), signed with a certificate. */
  async answer(request: Buffer, signer = 'tsa'): Promise<Buffer> {
    await writeFile(path.join(this.folder, 'request.tsq'), request);
    await openssl(
      this.folder,
      ...['ts', '-reply', '-queryfile', 'request.tsq', '-config', 'openssl.cnf', '-section', 'tsa_default'],
      ...['-signer', `${signer}.pem`, '-inkey', `${signer}.key`, '-out', 'response.tsr'],
    );
    return readFile(path.join(this.folder, 'response.tsr'));
  }

  /** Listens; gives the URL. */
  async listen(): Promise<string> {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.answer(Buffer.concat(chunks)).then(
          (bytes) => response.writeHead(200, { 'content-type': 'application/timestamp-reply' }).end(this.tamper(bytes)),
          () => response.writeHead(500).end(),
        );
      });
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.listen(0, '127.0.0.1', resolve);
    await promise;
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  close(): void {
    this.#server?.close();
  }

  async #root(name: string): Promise<void> {
    await openssl(
      this.folder,
      ...['req', '-x509', '-config', 'openssl.cnf', '-extensions', 'ca', '-subj', `/CN=${name}`, '-days', '3650'],
      ...[
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.pem`,
      ],
    );
  }

  async #issue(name: string, extensions: string): Promise<void> {
    await openssl(
      this.folder,
      ...['req', '-new', '-config', 'openssl.cnf', '-subj', `/CN=${name}`, '-newkey', 'rsa:2048', '-nodes'],
      ...['-keyout', `${name}.key`, '-out', `${name}.csr`],
    );
    await openssl(
      this.folder,
      ...[
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-days',
        '3650',
      ],
      ...['-extfile', 'openssl.cnf', '-extensions', extensions, '-out', `${name}.pem`],
    );
  }
}
