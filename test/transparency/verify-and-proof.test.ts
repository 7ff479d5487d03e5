/** `stele verify` and `stele proof` on a real log, from the command line, beside its writer and without it. */
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runCommandLine } from '#ops/cli/run-command-line.ts';
import { complianceRecord, ERASURES_STREAM } from '#projections/compliance/records.ts';
import { packSections } from '#projections/compliance/section-list.ts';
import { pduRecord } from '#projections/rooms/pdu-record.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { contentHash, eventIdOf } from '#protocol/hashing.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { splitPdu } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { dataPaths } from '#src/data-paths.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import { type OpenLog, openLog } from '#streams/open-log.ts';
import { originOf } from '#streams/transparency/checkpoint.ts';
import { openSigningKey } from '#streams/transparency/signing-key.ts';
import { TransparencyLog } from '#streams/transparency/transparency-log.ts';

const ROOM_VERSION = '11';
const rules = roomVersionRules(ROOM_VERSION);
if (rules === undefined) throw new Error(`room version ${ROOM_VERSION} is unknown`);

interface Message {
  readonly eventId: string;
  readonly draft: RecordDraft;
}

function message(number: number, change: { body?: string; namedAs?: string } = {}): Message {
  const event: JsonObject = {
    type: 'm.room.message',
    room_id: '!room:example.org',
    sender: '@ada:example.org',
    origin_server_ts: 1_700_000_000_000 + number,
    depth: number,
    prev_events: [],
    auth_events: [],
    content: { msgtype: 'm.text', body: `secret ${number}` },
  };
  const hashed = { ...event, hashes: { sha256: contentHash(event) }, signatures: {} };
  const pdu = {
    ...hashed,
    ...(change.body !== undefined && { content: { msgtype: 'm.text', body: change.body } }),
  } as unknown as Pdu;
  const eventId = change.namedAs ?? eventIdOf(pdu, rules as NonNullable<typeof rules>);
  const { skeleton, stripped } = splitPdu(pdu, rules as NonNullable<typeof rules>);
  const id = Buffer.alloc(16);
  id.writeUInt32BE(number);
  const meta = { eventId, roomId: '!room:example.org', roomVersion: ROOM_VERSION, disposition: 'accepted' } as const;
  return { eventId, draft: pduRecord(id, meta, pdu, canonicalJson(skeleton), stripped) };
}

/** A data folder with a log that is open for writing. */
class Server {
  readonly paths: ReturnType<typeof dataPaths>;
  readonly #log: OpenLog;
  readonly #tree: { current?: TransparencyLog };
  #revision: number;

  private constructor(paths: ReturnType<typeof dataPaths>, log: OpenLog, tree: { current?: TransparencyLog }) {
    this.paths = paths;
    this.#log = log;
    this.#tree = tree;
    this.#revision = log.head();
  }

  static async start(dataDir: string): Promise<Server> {
    await mkdir(dataDir, { recursive: true });
    const paths = dataPaths(dataDir);
    const tree: { current?: TransparencyLog } = {};
    const log = await openLog({ folder: paths.log, onCommit: (leaves) => tree.current?.add(leaves) });
    tree.current = await TransparencyLog.open({
      folder: paths.transparency,
      signer: await openSigningKey({
        keyFile: paths.logSigningKey,
        origin: originOf('example.org'),
        folder: paths.transparency,
      }),
      leaves: { size: () => log.head() + 1, readLeaves: (index) => log.readLeaves(index - 1) },
    });
    return new Server(paths, log, tree);
  }

  async append(drafts: readonly RecordDraft[]): Promise<void> {
    const appends: Promise<unknown>[] = [];
    for (let at = 0; at < drafts.length; at += 500) {
      const batch = drafts.slice(at, at + 500);
      appends.push(this.#log.append('room-1', this.#revision, batch));
      this.#revision += batch.length;
      if (appends.length >= 20) await Promise.all(appends.splice(0));
    }
    await Promise.all(appends);
  }

  destroyKey(position: number, section: number): Promise<void> {
    return this.#log.destroyKey(position, section);
  }

  /** Puts on record that a section is to be destroyed. */
  async decideOn(position: number, section: number): Promise<void> {
    const decided = complianceRecord(Buffer.alloc(16, 1), 'destruction.decided', {
      id: 'decision',
      cause: 'redaction',
      requestId: null,
      why: 'It was redacted.',
      items: packSections([{ position, sections: [section] }]),
      media: [],
      rooms: [],
    });
    await this.#log.append(ERASURES_STREAM, -1, [decided]);
  }

  async publish(): Promise<string> {
    await this.#tree.current?.publish();
    return this.#tree.current?.checkpoint() ?? '';
  }

  async stop(): Promise<void> {
    await this.#tree.current?.close();
    await this.#log.close();
  }
}

let folder: string;
let server: Server | undefined;

async function stele(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const status = await runCommandLine([...args], {
    print: (line) => out.push(line),
    say: (line) => err.push(line),
    signal: new AbortController().signal,
    environment: {},
    workingDir: folder,
  });
  return { status, out: out.join('\n'), err: err.join('\n') };
}

const withConfig = (...args: string[]) => stele(...args, '--config', path.join(folder, 'stele.yaml'));

async function verifyJson(...args: string[]) {
  const { status, out } = await withConfig('verify', '--json', ...args);
  return { status, ...JSON.parse(out) };
}

async function freshFolder(): Promise<void> {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-verify-proof-'));
  await writeFile(path.join(folder, 'stele.yaml'), 'server_name: example.org\ndata_dir: ./data\n');
  server = await Server.start(path.join(folder, 'data'));
}

async function removeFolder(): Promise<void> {
  await server?.stop();
  server = undefined;
  await rm(folder, { recursive: true });
}

const drafts = (count: number, from = 0) => Array.from({ length: count }, (_, i) => message(from + i).draft);

/** Flips a bit in the sealed content of some record in the middle of a file. */
async function damage(file: string, at: number): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, at);
    byte[0] = (byte[0] as number) ^ 1;
    await handle.write(byte, 0, 1, at);
  } finally {
    await handle.close();
  }
}

describe('stele proof', () => {
  const { eventId } = message(7);
  let oldCheckpoint: string;

  beforeAll(async () => {
    await freshFolder();
    await server?.append(drafts(300));
    oldCheckpoint = path.join(folder, 'old-checkpoint');
    await writeFile(oldCheckpoint, (await server?.publish()) ?? '');
    await server?.append(drafts(300, 300));
    await server?.publish();
  });
  afterAll(removeFolder);

  async function proofFile(...args: string[]): Promise<string> {
    const { status, out, err } = await withConfig('proof', ...args);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    const file = path.join(folder, 'proof.json');
    await writeFile(file, out);
    return file;
  }

  test('of an event says where it is and nothing of what it says, beside the running server', async () => {
    const file = await proofFile(eventId);
    const text = await readFile(file, 'utf8');
    for (const secret of ['secret', 'ada', eventId, '"key"']) expect(text).not.toContain(secret);
    const { status, out } = await stele('proof', 'check', file, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      kind: 'inclusion',
      origin: 'example.org/stele-log',
      size: 600,
      leafIndex: 7,
      stream: 'room-1',
      revision: 7,
      recordKind: 'pdu',
      openedSections: [],
      isKeyTrusted: false,
    });
    expect(JSON.parse(out)).not.toHaveProperty('eventId');
  });

  test('with skeleton says which event it is, not its content', async () => {
    const { out } = await stele('proof', 'check', await proofFile('7', '--with-skeleton'), '--json');
    expect(JSON.parse(out)).toMatchObject({ eventId, event: { sender: '@ada:example.org', content: {} } });
    expect(out).not.toContain('secret');
  });

  test('with content shows the event, tied to its id', async () => {
    const file = await proofFile(eventId, '--with-content', '--read-only');
    const { out } = await stele('proof', 'check', file, '--json');
    expect(JSON.parse(out)).toMatchObject({
      eventId,
      openedSections: [0, 1],
      event: { content: { body: 'secret 7' } },
    });
    const words = await stele('proof', 'check', file);
    expect(words.out).toContain(`event ${eventId} in room !room:example.org, accepted`);
  });

  test('is bound to the key that the checker trusts', async () => {
    const file = await proofFile('7');
    const { log_key: key } = JSON.parse(await readFile(file, 'utf8'));
    const { status, out } = await stele('proof', 'check', file, '--key', key);
    expect(status).toBe(0);
    expect(out).toContain('signed with the trusted key');
    const other = await stele('proof', 'check', file, '--key', key.replace('example', 'exomple'), '--json');
    expect(other.status).toBe(1);
    expect(JSON.parse(other.out)).toMatchObject({ ok: false, flaw: 'key' });
  });

  test('that was tampered with proves nothing', async () => {
    const file = await proofFile('7');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"leaf_index": 7', '"leaf_index": 8'));
    const { status, err } = await stele('proof', 'check', file);
    expect(status).toBe(1);
    expect(err).toMatch(/^Not proven \(inclusion\): /);
  });

  test('of an erased section cannot open it, and says so; the rest stays proven', async () => {
    await server?.destroyKey(9, 1);
    const { status, out, err } = await withConfig('proof', '9', '--with-content', '--read-only');
    expect({ status, err }).toEqual({
      status: 0,
      err: 'Section 1 is erased: its key is destroyed, so the proof cannot open it.',
    });
    const file = path.join(folder, 'erased.json');
    await writeFile(file, out);
    const checked = await stele('proof', 'check', file, '--json');
    expect(JSON.parse(checked.out)).toMatchObject({ ok: true, openedSections: [0], eventId: message(9).eventId });
  });

  test('of consistency shows that the log continues an old checkpoint', async () => {
    const { status, out } = await withConfig('proof', 'consistency', oldCheckpoint);
    expect(status).toBe(0);
    const file = path.join(folder, 'consistency.json');
    await writeFile(file, out);
    const checked = await stele('proof', 'check', file);
    expect(checked.status).toBe(0);
    expect(checked.out).toContain('of 600 records continues that of 300 records unchanged');
  });

  test('of what is not there is a finding, of nonsense wrong usage', async () => {
    expect(await withConfig('proof', '$nobody')).toMatchObject({
      status: 1,
      err: 'There is no event $nobody in the log.',
    });
    expect(await withConfig('proof', '600')).toMatchObject({
      status: 1,
      err: 'The log has no record 600: it has 600.',
    });
    expect(await withConfig('proof', 'hello')).toMatchObject({ status: 2 });
    expect(await stele('proof', 'check', path.join(folder, 'stele.yaml'))).toMatchObject({ status: 1 });
  });

  test('of an event that is not published yet says that it is early', async () => {
    await server?.append(drafts(1, 600));
    const { status, err } = await withConfig('proof', '600');
    // The server publishes by itself within a second or so.
    if (status === 1) expect(err).toContain('not published yet');
    await server?.publish();
    expect(await withConfig('proof', '600')).toMatchObject({ status: 0 });
  });
});

describe('stele verify', () => {
  beforeEach(freshFolder);
  afterEach(removeFolder);

  test('passes a log beside its writer and after it, with old checkpoints and erased sections', async () => {
    await server?.append(drafts(1000));
    const old = path.join(folder, 'old');
    await writeFile(old, (await server?.publish()) ?? '');
    await server?.append(drafts(999, 1000));
    await server?.decideOn(3, 1);
    await server?.publish();
    await server?.destroyKey(3, 1);
    const expected = { status: 0, ok: true, records: 2000, publishedSize: 2000, streams: 2, destroyedSections: 1 };
    expect(await verifyJson('--checkpoint', old, '--events')).toMatchObject({ ...expected, checkpoints: 3 });
    await server?.stop();
    expect(await verifyJson()).toMatchObject({ ...expected, findings: [] });
    expect(await verifyJson('--no-open')).toMatchObject({ status: 0, destroyedSections: 0 });
    expect(await verifyJson('--from', '1500')).toMatchObject({ status: 0, from: 1280, records: 720 });
    const { out, status } = await withConfig('verify');
    expect(status).toBe(0);
    expect(out).toContain('The log is whole and is what was published.');
  });

  test('reads a large log in several threads', async () => {
    await server?.append(drafts(40_000));
    await server?.stop();
    expect(await verifyJson('--workers', '2')).toMatchObject({
      status: 0,
      records: 40_000,
      checkpoints: 2,
      findings: [],
    });
    const [segment = ''] = await readdir(path.join(folder, 'data', 'log', 'segments'));
    await damage(path.join(folder, 'data', 'log', 'segments', segment), 100_000);
    const { status, findings } = await verifyJson('--workers', '2');
    expect(status).toBe(1);
    expect(findings[0]).toMatchObject({ kind: 'damaged', message: expect.stringContaining(segment) });
  });

  test('makes damaged tiles again when asked, and only then', async () => {
    await server?.append(drafts(1000));
    await server?.stop();
    await rm(path.join(folder, 'data', 'transparency', 'tile', '0', '001'));
    expect(await verifyJson()).toMatchObject({ status: 1, findings: [{ kind: 'tile' }] });
    expect(await withConfig('verify', '--repair-tiles')).toMatchObject({
      status: 0,
      err: '1 tiles were made again from the log.',
    });
    expect(await verifyJson()).toMatchObject({ status: 0, findings: [] });
  });

  test('finds an event that is not the one that its record names', async () => {
    await server?.append([
      message(0).draft,
      message(1, { namedAs: message(0).eventId }).draft,
      message(2, { body: 'forged' }).draft,
    ]);
    await server?.stop();
    expect(await verifyJson()).toMatchObject({ status: 0 });
    expect(await verifyJson('--events')).toMatchObject({
      status: 1,
      findings: [
        { kind: 'content', position: 1, message: expect.stringContaining('it names the event') },
        { kind: 'content', position: 2, message: expect.stringContaining('the content is not that of the event') },
      ],
    });
  });

  test('finds another history than that of a checkpoint kept elsewhere', async () => {
    await server?.append(drafts(10));
    await server?.publish();
    await server?.stop();
    const kept = path.join(folder, 'kept');
    await writeFile(kept, await readFile(path.join(folder, 'data', 'transparency', 'checkpoint')));
    // Whoever holds the machine writes the log anew, signing key and all.
    for (const name of ['log', 'transparency']) await rm(path.join(folder, 'data', name), { recursive: true });
    server = await Server.start(path.join(folder, 'data'));
    await server.append(drafts(10));
    await server.stop();
    expect(await verifyJson()).toMatchObject({ status: 0 });
    const { status, findings } = await verifyJson('--checkpoint', kept);
    expect(status).toBe(1);
    expect(findings).toMatchObject([{ kind: 'checkpoint', message: expect.stringContaining('history was changed') }]);
  });

  test('claims nothing of a log whose checkpoints are gone', async () => {
    await server?.append(drafts(10));
    await server?.publish();
    await server?.stop();
    await rm(path.join(folder, 'data', 'log-signing.key'));
    expect((await withConfig('verify')).out).not.toContain('present key');
    await rm(path.join(folder, 'data', 'transparency'), { recursive: true });
    const { status, out } = await withConfig('verify');
    expect(status).toBe(0);
    expect(out).not.toContain('is what was published');
    expect(out).toContain('no checkpoint to compare it with');
  });

  test.each(['{"half', '{}', 'null', '{"publishedAtMs":1e300,"checkpoint":""}'])(
    'finds a past checkpoint that is none: %s',
    async (line) => {
      await server?.append(drafts(10));
      await server?.publish();
      await server?.stop();
      const history = path.join(folder, 'data', 'transparency', 'checkpoints.jsonl');
      await writeFile(history, `${line}\n${await readFile(history, 'utf8')}`);
      const { status, findings } = await verifyJson();
      expect(status).toBe(1);
      expect(findings).toMatchObject([{ kind: 'checkpoint', message: expect.stringContaining('jsonl, line 1') }]);
    },
  );

  test('of nothing is a finding, of nonsense wrong usage', async () => {
    await server?.stop();
    await rm(path.join(folder, 'data', 'log'), { recursive: true });
    expect(await withConfig('verify')).toMatchObject({ status: 1, err: expect.stringContaining('there is no log in') });
    expect(await withConfig('verify', '--from', 'x')).toMatchObject({ status: 2 });
    expect(await withConfig('verify', '--workers', '0')).toMatchObject({ status: 2 });
    expect(await withConfig('verify', '--events', '--no-open')).toMatchObject({ status: 2 });
  });
});
