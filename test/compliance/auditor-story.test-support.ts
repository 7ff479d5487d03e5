/** What an auditor asks about: a server that people, a lawyer and a data-protection officer used, then stopped, with its backups. */
import { createHash, createHmac } from 'node:crypto';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { coreProjections } from '#projections/catalogue.ts';
import { Environment } from '#projections/engine/environment.ts';
import { EnvironmentFolder } from '#projections/engine/folder.ts';
import { machineBootId } from '#projections/engine/mark.ts';
import { dataPaths } from '#src/data-paths.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { SteleProcess, TestUser } from '#test/support/stele-process.ts';

const SHARED_SECRET = 'a shared secret of the tests';
const PASSWORD = 'correct horse battery staple';
/** Written by the subject of the erasure, and by nobody else. */
export const SUBJECTS_WORDS = 'Quittengelee';

/** The first settings; the second ones differ in what retention is asked about. */
const FIRST_SETTINGS = {
  registration: { open: true, token_required: false, shared_secret: SHARED_SECRET },
  retention: { redacted: '1ms', classes: { messages: { max: '3650d' } } },
};

/** What a command printed, and how it ended. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A server with its story. All of it is public, for the questions about it. */
export class Story {
  readonly stele: SteleProcess;
  readonly ids: Record<string, string> = {};
  /** Milliseconds since the epoch. */
  readonly times: Record<string, number> = {};
  /** Signed heads of the log that somebody kept elsewhere. */
  readonly heads: Record<string, string> = {};
  /** What the requests were answered that a hold stood against. */
  readonly refused: Record<string, string> = {};
  #sent = 0;

  private constructor(stele: SteleProcess) {
    this.stele = stele;
  }

  static async begin(): Promise<Story> {
    const story = new Story(await SteleProcess.make(FIRST_SETTINGS));
    await story.stele.start();
    return story;
  }

  path(...parts: string[]): string {
    return path.join(this.stele.folder, ...parts);
  }

  /** A command of the operator, on the data folder of the server. */
  operator(...args: string[]): Promise<Outcome> {
    return this.stele.run(...args, '--config', this.stele.configFile);
  }

  /** The same, which must succeed; gives what `--json` printed. */
  async operatorJson(...args: string[]): Promise<Record<string, unknown>> {
    const { status, stdout, stderr } = await this.operator(...args, '--json');
    if (status !== 0) throw new Error(`stele ${args.join(' ')}: ${status}\n${stdout}\n${stderr}`);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  /** Makes an account as the operator's scripts do: with the shared secret. */
  async administrator(username: string): Promise<TestUser> {
    const at = `${this.stele.url}/_synapse/admin/v1/register`;
    const { nonce } = (await (await fetch(at)).json()) as { nonce: string };
    const mac = createHmac('sha1', SHARED_SECRET).update([nonce, username, PASSWORD, 'admin'].join('\0')).digest('hex');
    const body = JSON.stringify({ nonce, username, password: PASSWORD, admin: true, mac });
    const answer = await fetch(at, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const made = (await answer.json()) as Record<string, string>;
    if (!answer.ok) throw new Error(JSON.stringify(made));
    return new TestUser(this.stele.url, made['user_id'] ?? '', made['access_token'] ?? '', made['device_id'] ?? '');
  }

  /** Calls any path of the server; gives status and body. */
  async ask(
    who: TestUser,
    method: string,
    at: string,
    headers: Readonly<Record<string, string>> = {},
    body?: string | object,
  ): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
    const answer = await fetch(this.stele.url + at, {
      method,
      headers: {
        authorization: `Bearer ${who.accessToken}`,
        ...(body !== undefined && { 'content-type': typeof body === 'string' ? 'text/plain' : 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  }

  async room(who: TestUser, settings: object): Promise<string> {
    return String((await who.call('POST', '/createRoom', settings))['room_id']);
  }

  /** Sends an event; gives its id. */
  async send(who: TestUser, roomId: string, content: object, type = 'm.room.message'): Promise<string> {
    this.#sent += 1;
    const at = `/rooms/${encodeURIComponent(roomId)}/send/${type}/${this.#sent}`;
    return String((await who.call('PUT', at, content))['event_id']);
  }

  /** Uploads a text; gives its media id. */
  async upload(who: TestUser, text: string): Promise<string> {
    const { body } = await this.ask(who, 'POST', '/_matrix/media/v3/upload?filename=notes.txt', {}, text);
    return String(body['content_uri']).split('/').at(-1) ?? '';
  }

  /** Stops the server, which publishes the head of its log, and keeps that under a name. */
  async keepHead(name: string): Promise<void> {
    await this.stele.stop();
    this.heads[name] = this.path(`${name}.checkpoint`);
    await cp(path.join(this.stele.dataDir, 'transparency', 'checkpoint'), this.heads[name] ?? '');
  }

  /** Records that a kept head is of. */
  async sizeAt(name: string): Promise<number> {
    return Number((await readFile(this.heads[name] ?? '', 'utf8')).split('\n')[1]);
  }

  /** Changes the settings; they count from the next start. */
  async configure(change: object): Promise<void> {
    const before = JSON.parse(await readFile(this.stele.configFile, 'utf8')) as object;
    await writeFile(this.stele.configFile, JSON.stringify({ ...before, ...change }));
  }
}

/** An auditor: commands on copies that were handed over, and nothing else. */
export class Auditor {
  readonly #stele: SteleProcess;
  readonly #config: string;
  readonly folder: string;

  private constructor(stele: SteleProcess, folder: string, config: string) {
    this.#stele = stele;
    this.folder = folder;
    this.#config = config;
  }

  /** Hands over a copy of a data folder. */
  static async with(story: Story, dataDir: string, name: string): Promise<Auditor> {
    const folder = story.path(name);
    await cp(dataDir, folder, { recursive: true });
    const config = story.path(`${name}.yaml`);
    const settings = JSON.parse(await readFile(story.stele.configFile, 'utf8')) as object;
    await writeFile(config, JSON.stringify({ ...settings, data_dir: folder }));
    return new Auditor(story.stele, folder, config);
  }

  /** A command on the copy. */
  run(...args: string[]): Promise<Outcome> {
    return this.#stele.run(...args, '--config', this.#config);
  }

  /** A command that needs nothing but its arguments. */
  plain(...args: string[]): Promise<Outcome> {
    return this.#stele.run(...args);
  }

  /** What a command printed as JSON lines; it must succeed. */
  async lines(...args: string[]): Promise<Record<string, unknown>[]> {
    const { status, stdout, stderr } = await this.run(...args, '--json');
    if (status !== 0) throw new Error(`stele ${args.join(' ')}: ${status}\n${stdout}\n${stderr}`);
    return jsonLines(stdout);
  }

  /** Turns a bit of what a record of the copy says. */
  async changeRecord(position: number): Promise<void> {
    const { log: folder } = dataPaths(this.folder);
    const log = await openLogReadOnly({ folder, withKeys: false });
    const sealed = (await log.readRaw(position))?.sealedSections[0];
    await log.close();
    if (sealed === undefined || sealed.length === 0) throw new Error(`record ${position} says nothing`);
    for (const file of await filesBelow(logPaths(folder).segments)) {
      const bytes = await readFile(file);
      const at = bytes.indexOf(sealed);
      if (at < 0) continue;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      await writeFile(file, bytes);
      return;
    }
    throw new Error(`record ${position} is in no segment`);
  }

  /** Takes the entries of the audit log out of the tables of the copy, as they are read; the log stays. */
  async hideEntries(): Promise<void> {
    const folder = new EnvironmentFolder({
      dir: dataPaths(this.folder).projections,
      projections: coreProjections,
      bootId: await machineBootId(),
    });
    const environment = new Environment({
      path: path.join(folder.dir, (await folder.currentName()) ?? ''),
      projections: coreProjections,
    });
    for (const { table, db } of environment.stores) if (table.name === 'audit.entries') await db.clearAsync();
    await environment.close();
  }

  /** Digests of all that the copy holds, but for the lock files of LMDB, which name who reads. */
  async digests(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const file of await filesBelow(this.folder)) {
      if (/lock/.test(path.basename(file))) continue;
      found[path.relative(this.folder, file)] = createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
    }
    return found;
  }
}

export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Every file below a folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

/** Names of files below a folder in which a text is found. */
export async function filesWith(folder: string, text: string): Promise<string[]> {
  const found: string[] = [];
  for (const file of await filesBelow(folder)) if ((await readFile(file)).includes(text)) found.push(file);
  return found;
}
