/** Time stamps (RFC 3161): what an authority made of OpenSSL says, believed only where it should be; and OpenSSL believes what is kept. */
import { hash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readWitnessRecord } from '#src/transparency/witness-records.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { TimestampRejected, timestampRequest, verifyTimestamp } from '#streams/transparency/timestamp.ts';
import { ServerFolder } from './server-folder.test-support.ts';
import { hasOpenSsl, openssl, TimeStampAuthority } from './time-stamp-authority.test-support.ts';

const isAble = await hasOpenSsl();
if (!isAble) console.warn('SKIPPED: the tests of time stamps need the openssl command');

describe.skipIf(!isAble)('a time stamp', () => {
  let folder: string;
  let authority: TimeStampAuthority;
  let trusted: string;
  let other: string;
  const digest = hash('sha256', 'a checkpoint', 'buffer');
  const nonce = randomBytes(16);
  let response: Buffer;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stele-tsa-'));
    authority = await TimeStampAuthority.make(folder);
    trusted = await readFile(authority.caFile, 'utf8');
    other = await readFile(path.join(folder, 'other-ca.pem'), 'utf8');
    response = await authority.answer(timestampRequest(digest, nonce));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('of an authority that is trusted is believed', () => {
    const { timeMs, authority: name } = verifyTimestamp(response, { digest, nonce }, trusted);
    expect(Math.abs(timeMs - Date.now())).toBeLessThan(3_600_000);
    expect(name).toBe('CN=tsa');
    expect(verifyTimestamp(response, { digest }, `${other}\n${trusted}`)).toMatchObject({ timeMs });
  });

  test('of something else, or of an authority that is not trusted, is not', () => {
    const verify =
      (expected: Parameters<typeof verifyTimestamp>[1], ca = trusted) =>
      () =>
        verifyTimestamp(response, expected, ca);
    expect(verify({ digest: hash('sha256', 'another', 'buffer') })).toThrow(/of something else/);
    expect(verify({ digest, nonce: randomBytes(16) })).toThrow(/another request/);
    expect(verify({ digest }, other)).toThrow(/not issued under an authority that is trusted/);
    expect(verify({ digest }, 'nothing')).toThrow(/no certificate of an authority/);
  });

  test('that was changed anywhere is not', () => {
    let believed = 0;
    // Every seventh byte: each kind of place is met, and it does not take for ever.
    for (let at = 0; at < response.length; at += 7) {
      const changed = Buffer.from(response);
      changed[at] = (changed[at] ?? 0) ^ 1;
      try {
        const { timeMs } = verifyTimestamp(changed, { digest, nonce }, trusted);
        // What no signature is over (the words of a status, say) says nothing about the time.
        expect(timeMs).toBe(verifyTimestamp(response, { digest, nonce }, trusted).timeMs);
        believed += 1;
      } catch (error) {
        expect(error).toBeInstanceOf(TimestampRejected);
      }
    }
    expect(believed).toBeLessThan(response.length / 70);
  });

  test('by a certificate that is not for time stamps is not', async () => {
    // OpenSSL does not sign with it either, so the answer is put together without its check.
    await expect(authority.answer(timestampRequest(digest, nonce), 'web')).rejects.toThrow();
  });

  test('that is none is not', () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('hello'), randomBytes(500), Buffer.from('30030201', 'hex')]) {
      expect(() => verifyTimestamp(bytes, { digest }, trusted)).toThrow(TimestampRejected);
    }
  });
});

describe.skipIf(!isAble)('a server with a time-stamp authority', () => {
  let server: ServerFolder;
  let authority: TimeStampAuthority;
  afterEach(async () => {
    authority.close();
    await server.remove();
  });

  async function stamps(): Promise<string[]> {
    const names = await readdir(server.path('data', 'transparency', 'timestamps')).catch(() => []);
    return names.filter((name) => name.endsWith('.tsr'));
  }

  test('has its checkpoints stamped, keeps and records the tokens, and they hold for others', async () => {
    server = await ServerFolder.make();
    authority = await TimeStampAuthority.make(server.path('tsa'));
    const url = await authority.listen();
    const settings = `transparency: { timestamp_authority: { url: "${url}", ca_file: ./tsa/ca.pem } }\n`;
    await server.configure('data', settings);
    await server.start();
    await server.register('ada');
    await server.stop();
    // There is a checkpoint at the start now, which is stamped at once.
    await server.start();
    await expect.poll(stamps, { timeout: 60_000 }).not.toEqual([]);
    await server.stop();

    const [name = ''] = await stamps();
    const folder = server.path('data', 'transparency', 'timestamps');
    const checkpoint = name.replace('.tsr', '.checkpoint');
    const outcome = await openssl(
      folder,
      'ts',
      '-verify',
      '-data',
      checkpoint,
      '-in',
      name,
      '-CAfile',
      authority.caFile,
    );
    expect(outcome).toContain('Verification: OK');

    const verified = await server.steleJson('verify');
    expect(verified).toMatchObject({ ok: true, timestamps: 1 });
    const log = await openLogReadOnly({ folder: server.path('data', 'log') });
    const kinds: string[] = [];
    for await (const record of log.readStream('server-witness')) {
      const read = readWitnessRecord(record);
      if (read?.kind !== 'checkpoint.timestamped') continue;
      kinds.push(read.kind);
      expect(Buffer.from(read.fields.response)).toEqual(await readFile(path.join(folder, name)));
    }
    await log.close();
    expect(kinds).toHaveLength(1);

    await server.steleJson('backup', server.path('copy'));
    await server.steleJson('restore', server.path('copy'), '--to', server.path('restored'));
    await server.configure('restored', settings);
    expect(await server.steleJson('verify')).toMatchObject({ ok: true, timestamps: 1 });
    await server.configure('data', settings);

    const token = await readFile(path.join(folder, name));
    token[token.length - 20] = (token[token.length - 20] ?? 0) ^ 1;
    await writeFile(path.join(folder, name), token);
    const { status, out } = await server.stele('verify');
    expect({ status, out }).toEqual({ status: 1, out: expect.stringContaining(name) });
  });
});
