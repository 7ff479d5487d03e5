/** Witnesses: what they cosign and what never, and what a server does with their cosignatures and their alarms. */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWitnessKey } from '#ops/witness/witness-folder.ts';
import { type RunningWitness, serveWitness } from '#ops/witness/witness-server.ts';
import { readWitnessRecord } from '#src/transparency/witness-records.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { sha256 } from '#streams/record-format.ts';
import { readCheckpoint, signCheckpoint } from '#streams/transparency/checkpoint.ts';
import { type Cosigner, cosignaturesOf, newCosignerText, parseCosigner } from '#streams/transparency/cosignature.ts';
import { hashChildren, proveConsistency, type Subtree, treeRoot } from '#streams/transparency/merkle.ts';
import { type NoteSigner, newSignerText, parseSigner, parseVerifier } from '#streams/transparency/note.ts';
import { formatSubmission, Witness, type WitnessedMisbehaviour } from '#streams/transparency/witness.ts';
import { ServerFolder } from './server-folder.test-support.ts';

/** A log of numbered leaves; `word` makes another history of it. */
class TestLog {
  readonly signer: NoteSigner;
  readonly #word: string;

  constructor(signer: NoteSigner, word = '') {
    this.signer = signer;
    this.#word = word;
  }

  readonly #subtree = ({ height, index }: Subtree): Uint8Array => {
    if (height === 0) return sha256(Buffer.from(`leaf ${index}${index < 3 ? '' : this.#word}`));
    const left = this.#subtree({ height: height - 1, index: 2 * index });
    return hashChildren(left, this.#subtree({ height: height - 1, index: 2 * index + 1 }));
  };

  async checkpoint(size: number): Promise<string> {
    return signCheckpoint({ size, root: await treeRoot(size, this.#subtree) }, this.signer);
  }

  proof(from: number, to: number): Promise<Uint8Array[]> {
    return proveConsistency(from, to, this.#subtree);
  }

  /** The request that asks to go on from one size to another. */
  async submission(from: number, to: number): Promise<string> {
    return formatSubmission(from, from === 0 ? [] : await this.proof(from, to), await this.checkpoint(to));
  }
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-witness-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('a witness', () => {
  const signer = parseSigner(newSignerText('example.org/stele-log'));
  const log = new TestLog(signer);
  const fork = new TestLog(signer, ' changed');
  const stranger = new TestLog(parseSigner(newSignerText('example.org/stele-log')));
  let cosigner: Cosigner;
  let found: WitnessedMisbehaviour[];
  let witness: Witness;

  const make = () =>
    new Witness({
      folder: path.join(folder, 'logs'),
      cosigner,
      logs: [signer.verifier],
      clock: () => 1_700_000_000_999,
      onMisbehaviour: (misbehaviour) => found.push(misbehaviour),
    });

  beforeEach(() => {
    cosigner = parseCosigner(newCosignerText('witness.example/w'));
    found = [];
    witness = make();
  });

  test('cosigns what continues what it cosigned, with the time', async () => {
    expect((await witness.addCheckpoint(await log.submission(0, 5))).status).toBe(200);
    const answer = await witness.addCheckpoint(await log.submission(5, 12));
    expect(answer.status).toBe(200);
    const note = (await log.checkpoint(12)) + answer.body;
    expect(cosignaturesOf(note, [cosigner.verifier])).toEqual([
      { witness: 'witness.example/w', timeS: 1_700_000_000, line: answer.body },
    ]);
    // The same once more is cosigned once more.
    expect((await witness.addCheckpoint(formatSubmission(12, [], await log.checkpoint(12)))).status).toBe(200);
  });

  test('a cosignature is of one text and one key', async () => {
    const { body } = await witness.addCheckpoint(await log.submission(0, 5));
    const otherText = `x\n1\n${'A'.repeat(43)}=\n\n${body}`;
    expect(() => cosignaturesOf(otherText, [cosigner.verifier])).toThrow(/does not belong to this text/);
    const other = parseCosigner(newCosignerText('witness.example/w'));
    expect(cosignaturesOf((await log.checkpoint(5)) + body, [other.verifier])).toEqual([]);
  });

  test('never goes back, and never signs another history, also after a restart', async () => {
    await witness.addCheckpoint(await log.submission(0, 12));
    witness = make();
    const conflict = { status: 409, contentType: 'text/x.tlog.size', body: '12\n' };
    expect(await witness.addCheckpoint(await log.submission(0, 5))).toEqual(conflict);
    expect(await witness.addCheckpoint(await log.submission(0, 20))).toEqual(conflict);
    expect(await witness.addCheckpoint(await log.submission(5, 12))).toEqual(conflict);
    expect(await witness.addCheckpoint(formatSubmission(12, [], await fork.checkpoint(12)))).toEqual(conflict);
    expect((await witness.addCheckpoint(await fork.submission(12, 20))).status).toBe(422);
    expect(found.map(({ kind }) => kind)).toEqual(['smaller', 'fork', 'unproven']);
    expect(found[1]).toMatchObject({
      cosigned: await log.checkpoint(12),
      submitted: await fork.checkpoint(12),
    });
    // What it turned down has left no trace.
    expect((await witness.addCheckpoint(await log.submission(12, 20))).status).toBe(200);
  });

  test('answers by what is wrong, as the protocol has it', async () => {
    const note = await log.checkpoint(5);
    const bad = [
      '',
      note,
      `old 0\n${note}`,
      `old 05\n\n${note}`,
      `old -1\n\n${note}`,
      `old 0\nAAAA\n\n${note}`,
      'old 0\n\nhello\n',
      formatSubmission(
        0,
        Array.from({ length: 64 }, () => Buffer.alloc(32)),
        note,
      ),
      formatSubmission(6, [], note),
      'x'.repeat(100_000),
    ];
    for (const body of bad) expect((await witness.addCheckpoint(body)).status, body.slice(0, 40)).toBe(400);
    const unknown = new TestLog(parseSigner(newSignerText('another.example/log')));
    expect((await witness.addCheckpoint(await unknown.submission(0, 5))).status).toBe(404);
    expect((await witness.addCheckpoint(await stranger.submission(0, 5))).status).toBe(403);
    expect((await witness.addCheckpoint(formatSubmission(0, [Buffer.alloc(32)], note))).status).toBe(422);
    expect(found).toEqual([]);
  });

  test('of many requests at once for one log, cosigns one history only', async () => {
    const bodies = await Promise.all([
      ...Array.from({ length: 10 }, (_, size) => log.submission(0, 10 + size)),
      ...Array.from({ length: 10 }, (_, size) => fork.submission(0, 10 + size)),
    ]);
    const answers = await Promise.all(bodies.map((body) => witness.addCheckpoint(body)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('keeps its name and its key', async () => {
    const made = await openWitnessKey(folder, 'witness.example/a');
    expect((await openWitnessKey(folder, undefined)).verifier.text).toBe(made.verifier.text);
    await expect(openWitnessKey(folder, 'witness.example/b')).rejects.toThrow(/keeps its name/);
    await make().addCheckpoint(await log.submission(0, 5));
    await rm(path.join(folder, 'witness.key'));
    await expect(openWitnessKey(folder, 'witness.example/a')).rejects.toThrow(/has cosigned/);
  });
});

describe('a server with witnesses', () => {
  let server: ServerFolder;
  let running: RunningWitness[];
  let cosigners: Cosigner[];
  let misbehaviour: WitnessedMisbehaviour[];

  beforeEach(async () => {
    server = await ServerFolder.make();
    running = [];
    misbehaviour = [];
    await server.start();
    await server.register('ada');
    await server.stop();
    const logKey = parseVerifier((await readLogKey()).trim());
    cosigners = ['a', 'b', 'c'].map((name) => parseCosigner(newCosignerText(`witness.example/${name}`)));
    for (const [index, cosigner] of cosigners.entries()) {
      const witness = new Witness({
        folder: path.join(folder, `w${index}`),
        cosigner,
        logs: [logKey],
        onMisbehaviour: (one) => misbehaviour.push(one),
      });
      running.push(await serveWitness(witness, { host: '127.0.0.1', port: 0 }, () => undefined));
    }
  });

  afterEach(async () => {
    await server.remove();
    for (const witness of running) await witness.stop();
  });

  async function readLogKey(): Promise<string> {
    await server.start();
    const key = String((await server.call('GET', '/_stele/log/key')).body['text']);
    await server.stop();
    return key;
  }

  /** Configures the witnesses that are running, and as many as must cosign. */
  async function configure(dataDir: string, quorum: number): Promise<void> {
    const list = running.map(({ url }, index) => `{ url: "${url}", key: "${cosigners[index]?.verifier.text}" }`);
    await server.configure(
      dataDir,
      `transparency: { witnesses: [${list.join(', ')}], witness_quorum: ${quorum}, witness_interval: 1s }\n`,
    );
  }

  const witnessed = async (): Promise<string> =>
    readFile(server.path('data', 'transparency', 'witnessed'), 'utf8').catch(() => '');

  const checkpoint = async () => String((await server.call('GET', '/_stele/log/checkpoint')).body['text']);

  async function recorded(dataDir: string): Promise<string[]> {
    const log = await openLogReadOnly({ folder: server.path(dataDir, 'log') });
    const kinds: string[] = [];
    for await (const record of log.readStream('server-witness')) kinds.push(readWitnessRecord(record)?.kind ?? '');
    await log.close();
    return kinds;
  }

  test('serves the checkpoint with the cosignatures of a quorum, though one witness is away', async () => {
    await running[2]?.stop();
    await configure('data', 2);
    await server.start();
    await expect.poll(witnessed, { timeout: 60_000 }).not.toBe('');
    const note = await checkpoint();
    const verifiers = cosigners.map(({ verifier }) => verifier);
    expect(cosignaturesOf(note, verifiers).map(({ witness }) => witness)).toEqual([
      'witness.example/a',
      'witness.example/b',
    ]);
    expect(misbehaviour).toEqual([]);
    const metrics = String((await server.call('GET', '/_stele/metrics')).body['text']);
    expect(metrics).toMatch(/stele_log_witnessed_records [1-9]/);
    expect(metrics).toContain('stele_witness_alarms{kind="fork"} 0');
    await server.stop();
    expect(await recorded('data')).toEqual(['checkpoint.cosigned']);
  });

  test('without a quorum serves what only the log signed', async () => {
    await running[1]?.stop();
    await running[2]?.stop();
    await configure('data', 2);
    await server.start();
    const failures = async () => String((await server.call('GET', '/_stele/metrics')).body['text']);
    await expect.poll(failures, { timeout: 60_000 }).toMatch(/stele_checkpoint_failures\{step="cosign"\} [1-9]/);
    expect(
      cosignaturesOf(
        await checkpoint(),
        cosigners.map(({ verifier }) => verifier),
      ),
    ).toEqual([]);
    expect(readCheckpoint(await checkpoint()).size).toBeGreaterThan(0);
  });

  test('a log that was rolled back is noticed: an alarm in the metrics, on record, and the server goes on', async () => {
    // An older copy of the whole folder, as a careless restore by hand would put back.
    await cp(server.path('data'), server.path('older'), { recursive: true });
    await configure('data', 2);
    await server.start();
    const ada = await server.register('bob');
    const room = await server.makeRoom(ada);
    for (let number = 0; number < 200; number++) await server.say(ada, room, `${number}`);
    const size = async () => {
      const note = await witnessed();
      return note === '' ? 0 : readCheckpoint(note).size;
    };
    await expect.poll(size, { timeout: 60_000 }).toBeGreaterThan(200);
    await server.stop();
    await configure('older', 2);
    await server.start();
    const metrics = async () => String((await server.call('GET', '/_stele/metrics')).body['text']);
    await expect.poll(metrics, { timeout: 60_000 }).toMatch(/stele_witness_alarms\{kind="rollback"\} [1-9]/);
    expect((await server.call('GET', '/_stele/ready')).status).toBe(200);
    await expect.poll(() => recorded('older'), { timeout: 60_000 }).toContain('witness.alarm');
  });
});

describe('the public log', () => {
  let server: ServerFolder;
  afterEach(() => server.remove());

  test('is the checkpoint, the key and the tiles, and never a record', async () => {
    server = await ServerFolder.make();
    await server.start();
    const ada = await server.register('ada');
    const room = await server.makeRoom(ada);
    const writes = Array.from({ length: 260 }, (_, number) => server.say(ada, room, `message ${number}`));
    await Promise.all(writes);
    const note = await server.published();
    expect((await server.call('GET', '/_stele/log/checkpoint')).body['text']).toBe(note);
    const key = String((await server.call('GET', '/_stele/log/key')).body['text']).trim();
    expect(parseVerifier(key).name).toBe('example.org/stele-log');
    const full = await fetch(`${server.origin}/_stele/log/tile/0/000`);
    expect([full.status, (await full.arrayBuffer()).byteLength]).toEqual([200, 256 * 32]);
    expect(full.headers.get('cache-control')).toContain('immutable');
    const width = readCheckpoint(note).size - 256;
    const partial = await fetch(`${server.origin}/_stele/log/tile/0/001.p/${width}`);
    expect([partial.status, (await partial.arrayBuffer()).byteLength]).toEqual([200, width * 32]);
    for (const other of ['entries/000', '0/999', '9/000', '0/..%2f..%2f..%2flog-signing.key', '0']) {
      expect((await fetch(`${server.origin}/_stele/log/tile/${other}`)).status, other).toBe(404);
    }
  });
});
