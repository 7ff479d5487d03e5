/** A server that things happen to, and what is known of them: what was written, what is on hold, who was erased, what has gone. */
import { access, rm } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { makeBackup } from '#ops/backup/backup.ts';
import { restoreBackup } from '#ops/backup/restore.ts';
import { verifyFolder } from '#ops/verify/verify-folder.ts';
import { destroyedBy, unfinishedDestructions } from '#projections/compliance/queries.ts';
import type { HoldScope } from '#projections/compliance/records.ts';
import { positionOfEvent } from '#projections/rooms/queries.ts';
import { dataPaths } from '#src/data-paths.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import type { EventLog } from '#streams/event-log.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import type { RawLog } from '#streams/raw-log.ts';
import type { TestClient } from '#test/support/application.ts';
import { type FolderApplication, openFolderApplication, type Person } from './folder-application.test-support.ts';
import { differences, filesUnder, filesWith, makeRoom } from './support.ts';

export const DAY = 86_400_000;
/** Half of the servers have to keep messages for a while, whoever asks for them to go. */
const BASIS_DAYS = 3;
const MAX_DAYS = 20;
const settingsOf = (hasBasis: boolean): object => ({
  retention: {
    classes: { messages: { ...(hasBasis && { min: `${BASIS_DAYS}d`, legal_basis: 'a duty' }), max: `${MAX_DAYS}d` } },
  },
});
const CASE = { caseId: 'C', reason: 'R', by: 'operator:lawyer' };

/** Something that somebody wrote. */
export interface Message {
  readonly userId: string;
  readonly roomId: string;
  readonly eventId: string;
  readonly position: number;
  /** Found in no other text. */
  readonly mark: string;
  /** When it was written, by the server's clock: milliseconds since the epoch. */
  readonly sentAtMs: number;
}

/** A generation of a backup, with what was there when it was made. */
export interface Generation {
  readonly id: string;
  readonly branch: number;
  readonly records: number;
  readonly messages: readonly Message[];
  readonly leaves: readonly string[];
}

export class World {
  readonly people: Person[] = [];
  readonly rooms: string[] = [];
  readonly generations: Generation[] = [];
  /** Of the log that is served now, in the order in which they were written. */
  messages: Message[] = [];
  readonly erased = new Set<string>();
  /** Holds that stand, by their ids. */
  readonly held = new Map<string, HoldScope>();
  /** What an erasure came upon while the policy had to keep it; it goes with what expires. */
  readonly #keptByBasis = new Set<string>();
  /** Positions of what must be there because of a hold, by the hold's id. */
  readonly #kept = new Map<string, readonly number[]>();
  /** Ids of events whose content was destroyed at some time, in whichever continuation of the log. */
  readonly #gone = new Set<string>();
  readonly #folder: string;
  readonly #hasBasis: boolean;
  #app: FolderApplication | undefined;
  #nowMs = 1_700_000_000_000;
  /** Each restore that was gone on from begins a branch. */
  #branch = 0;
  #restores = 0;
  #leaves: string[] = [];
  /** Records that there were before the first step. */
  #firstRecords = 0;

  /** @param hasBasis whether the policy keeps messages for some days even against a request for erasure. */
  constructor(folder: string, hasBasis: boolean) {
    this.#folder = folder;
    this.#hasBasis = hasBasis;
  }

  get app(): FolderApplication {
    if (this.#app === undefined) throw new Error('the server does not run');
    return this.#app;
  }

  get firstRecords(): number {
    return this.#firstRecords;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  now(): number {
    return this.#nowMs;
  }

  active(): Person[] {
    return this.people.filter(({ userId }) => !this.erased.has(userId));
  }

  /** Whether a hold that stands covers a message. */
  isHeld(message: Message): boolean {
    return this.held.values().some((scope) => covers(scope, message));
  }

  /** Whether the policy keeps a message against everybody. */
  hasToStay({ sentAtMs }: Message): boolean {
    return this.#hasBasis && this.#nowMs < sentAtMs + BASIS_DAYS * DAY;
  }

  as(userId: string): TestClient {
    const person = this.people.find((one) => one.userId === userId);
    if (person === undefined) throw new Error(`nobody is called ${userId}`);
    return this.app.as(person);
  }

  /** Begins with three people in two rooms. */
  async begin(): Promise<void> {
    await this.#open(path.join(this.#folder, 'data-0'));
    for (const name of ['ann', 'bob', 'carl']) this.people.push(await this.app.register(name));
    for (let number = 0; number < 2; number++) {
      const [first, ...others] = this.people.map((person) => this.app.as(person));
      if (first === undefined) throw new Error('nobody is there');
      const roomId = await makeRoom(first);
      for (const other of others) await other.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
      this.rooms.push(roomId);
    }
    this.#firstRecords = this.app.log.head() + 1;
  }

  async #open(dataDir: string): Promise<void> {
    this.#app = await openFolderApplication(dataDir, () => this.#nowMs++, settingsOf(this.#hasBasis));
  }

  async end(): Promise<void> {
    await this.#app?.close();
    this.#app = undefined;
  }

  async note(message: Omit<Message, 'position' | 'sentAtMs'>): Promise<void> {
    const position = positionOfEvent(this.app.engine.reader, message.eventId);
    if (position === undefined) throw new Error(`${message.eventId} is not there`);
    const record = await this.app.log.readAt(position);
    this.messages.push({ ...message, position, sentAtMs: record?.recordedAtMs ?? Number.NaN });
  }

  /** Sets a hold. What was not decided to go when that was answered must stay from then on. */
  async hold(scope: HoldScope): Promise<void> {
    const { log, context, engine } = this.app;
    const there = [];
    for (const message of this.messages) {
      if (covers(scope, message) && (await isReadable(log, message.position))) there.push(message.position);
    }
    const id = await context.compliance.holds.add({ scope, ...CASE });
    this.#kept.set(
      id,
      there.filter((position) => destroyedBy(engine.reader, position) === undefined),
    );
    this.held.set(id, scope);
  }

  async release(id: string): Promise<void> {
    this.held.delete(id);
    this.#kept.delete(id);
    await this.app.context.compliance.holds.release(id, { by: 'operator:judge', reason: 'R' });
    await this.settleErasures();
  }

  async erase(userId: string): Promise<void> {
    this.erased.add(userId);
    const { erasures } = this.app.context.compliance;
    const wish = { userId, by: 'operator:x', reason: null, caseId: null, asksPeers: false };
    const before = this.messages.filter((message) => message.userId === userId && this.hasToStay(message));
    await erasures.run(await erasures.request(wish));
    await this.#noteKept(before);
  }

  /** Notes which of some messages the policy has kept; as they stay, whoever asks, until they expire. */
  async #noteKept(before: readonly Message[]): Promise<void> {
    for (const { eventId, position } of before) {
      if (await isReadable(this.app.log, position)) this.#keptByBasis.add(eventId);
    }
  }

  /** Waits for what a release or a start has begun. */
  async settleErasures(): Promise<void> {
    const { erasures } = this.app.context.compliance;
    const before = this.messages.filter((message) => this.erased.has(message.userId) && this.hasToStay(message));
    for (const userId of this.erased) for (const { id } of erasures.of(userId)) await erasures.run(id);
    await this.#noteKept(before);
  }

  /**
   * Ends the server after it has decided that something goes and before that is all gone: before its keys are destroyed, after
   * that, or while the tables are built anew. The next start goes on with it.
   */
  async crash({ position }: Message, moment: 'before' | 'after' | 'while building'): Promise<void> {
    const { context, log, engine, dataDir } = this.app;
    const { destruction } = context.compliance;
    const items = [{ position, sections: [1] }];
    const order = { cause: 'history_purge', requestId: null, why: 'A test.', items } as const;
    const killed = (): Promise<never> => Promise.reject(new Error('killed'));
    if (moment === 'before') log.destroyKeys = killed;
    if (moment === 'while building') engine.renew = killed;
    const done = destruction.destroy(order).then(() => (moment === 'after' ? undefined : destruction.finish()));
    if (moment === 'after') await done;
    else await expect(done).rejects.toThrow('killed');
    await this.end();
    await this.#open(dataDir);
    await this.app.context.compliance.destruction.resume();
  }

  /** Adds a generation to the backup, while the server runs. */
  async backUp(): Promise<void> {
    const { app } = this;
    await app.publish();
    const { id, records, warnings } = await makeBackup({
      dataDir: app.dataDir,
      serverName: 'localhost',
      signingKeyFile: path.join(app.dataDir, 'signing.key'),
      folder: this.#backupFolder(this.#branch),
      settings: {},
      clock: () => this.#nowMs++,
    });
    expect(warnings).toEqual([]);
    const leaves = (await leavesOf(app.log)).slice(0, records);
    this.generations.push({ id, branch: this.#branch, records, messages: [...this.messages], leaves });
  }

  #backupFolder(branch: number): string {
    return path.join(this.#folder, `copy-${branch}`);
  }

  /**
   * Restores a generation, or the beginning of it, to another folder, with the list of destroyed keys of the server that runs. Looks at
   * what came back; then it is served from there on, or thrown away.
   */
  async restore(generation: Generation, { upTo, goesOn }: { readonly upTo?: number; readonly goesOn: boolean }) {
    await this.#noteGone();
    const erased = logPaths(dataPaths(this.app.dataDir).log).erased;
    const to = path.join(this.#folder, `data-${++this.#restores}`);
    // Verifies the leaves, the tiles and the checkpoints of the restored log, and throws if anything is not as it should be.
    const report = await restoreBackup({
      folder: this.#backupFolder(generation.branch),
      to,
      generation: generation.id,
      ...(upTo !== undefined && { at: { records: upTo } }),
      erasedLists: (await isThere(erased)) ? [erased] : [],
      clock: () => this.#nowMs++,
    });
    expect(report.missingMedia).toEqual([]);
    const messages = generation.messages.filter(({ position }) => position < report.records);
    const log = await openLogReadOnly({ folder: dataPaths(to).log });
    try {
      expect((await leavesOf(log)).slice(0, report.records)).toEqual(generation.leaves.slice(0, report.records));
      for (const { eventId, position, mark } of messages) {
        expect(await isReadable(log, position), `${mark} in what was restored`).toBe(!this.#gone.has(eventId));
      }
    } finally {
      await log.close();
    }
    for (const { eventId, mark } of messages) {
      if (this.#gone.has(eventId)) expect(await filesUnder(to, mark), `${mark} in what was restored`).toEqual([]);
    }
    if (goesOn) return this.#goOnFrom(to, messages);
    await rm(to, { recursive: true });
  }

  async #goOnFrom(to: string, messages: Message[]): Promise<void> {
    const { dataDir } = this.app;
    await this.end();
    await rm(dataDir, { recursive: true });
    this.#branch = this.#restores;
    this.messages = messages;
    await this.#open(to);
    this.held.clear();
    this.#kept.clear();
    const { destruction, holds } = this.app.context.compliance;
    await destruction.resume();
    await this.settleErasures();
    for (const { id, scope } of holds.standing()) {
      this.held.set(id, scope);
      const there = [];
      for (const message of messages) {
        if (covers(scope, message) && (await isReadable(this.app.log, message.position))) there.push(message.position);
      }
      this.#kept.set(id, there);
    }
    // What was asked for after the backup is not in it: who restores asks for it again.
    for (const userId of this.erased) await this.erase(userId);
    this.#leaves = await leavesOf(this.app.log);
  }

  async #noteGone(): Promise<void> {
    for (const { eventId, position } of this.messages) {
      if (!(await isReadable(this.app.log, position))) this.#gone.add(eventId);
    }
  }

  /** What is always so. */
  async check(label: string): Promise<void> {
    const { log, engine } = this.app;
    const now = await leavesOf(log);
    expect(now.slice(0, this.#leaves.length), label).toEqual(this.#leaves);
    this.#leaves = now;
    expect(unfinishedDestructions(engine.reader), label).toEqual([]);
    for (const [id, positions] of this.#kept) {
      for (const position of positions) {
        expect(await isReadable(log, position), `${label}: record ${position}, on hold by ${id}`).toBe(true);
      }
    }
    for (const message of this.messages) {
      const { mark, userId, eventId, position } = message;
      if (this.isHeld(message) || !this.erased.has(userId)) continue;
      const isKept = this.#keptByBasis.has(eventId);
      if (isKept && this.hasToStay(message)) expect(await isReadable(log, position), `${label}: ${mark}`).toBe(true);
      if (!isKept) expect(await filesWith(this.app, mark), `${label}: ${mark} of ${userId}`).toEqual([]);
    }
  }

  /** What is so after a run of retention: of all that is older than the maximum only what is on hold is there. */
  async checkExpired(label: string): Promise<void> {
    for (const message of this.messages) {
      if (this.isHeld(message) || this.#nowMs < message.sentAtMs + MAX_DAYS * DAY) continue;
      expect(await isReadable(this.app.log, message.position), `${label}: ${message.mark}`).toBe(false);
    }
  }

  /** Whether the tables are what a replay gives, and the log what its tree says. */
  async checkWhole(): Promise<void> {
    const { app } = this;
    const paths = dataPaths(app.dataDir);
    expect(await differences(app, paths.projections)).toEqual([]);
    const checkpoint = await app.publish();
    const { findings } = await verifyFolder({
      logFolder: paths.log,
      transparencyFolder: paths.transparency,
      checkpoints: [{ source: 'now', text: checkpoint }],
      checksEvents: true,
    });
    expect(findings).toEqual([]);
  }
}

async function leavesOf(log: Pick<RawLog, 'readLeaves'>): Promise<string[]> {
  const leaves: string[] = [];
  for await (const batch of log.readLeaves(-1)) for (const leaf of batch) leaves.push(leaf.toString('hex'));
  return leaves;
}

/** What the decision's holds cover, said once more for messages: all conditions are met. */
function covers({ userId, roomId, fromMs, toMs }: HoldScope, message: Message): boolean {
  return (
    (userId === undefined || userId === message.userId) &&
    (roomId === undefined || roomId === message.roomId) &&
    (fromMs === undefined || message.sentAtMs >= fromMs) &&
    (toMs === undefined || message.sentAtMs < toMs)
  );
}

async function isReadable(log: Pick<EventLog, 'readAt'>, position: number): Promise<boolean> {
  return (await log.readAt(position))?.sections[1] instanceof Uint8Array;
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
