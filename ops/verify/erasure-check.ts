/**
 * The destroyed keys against the decisions that are on record: each was decided before it was destroyed, and what was decided and is
 * finished is destroyed. Who destroys keys without a record, or puts old ones back, is found.
 */
import { ERASURES_STREAM, readComplianceRecord } from '#projections/compliance/records.ts';
import { type RecordSections, unpackSections } from '#projections/compliance/section-list.ts';
import { Damaged, MAX_SECTIONS, type Position } from '#streams/event-log.ts';
import type { ReadOnlyLog } from '#streams/raw-log.ts';
import type { Finding } from './finding.ts';

/** What was found. */
export interface ErasureCheck {
  /** Destroyed, and no record says why. */
  readonly undecided: readonly RecordSections[];
  /** Decided and finished, and the keys are there. */
  readonly revived: readonly RecordSections[];
  /** Decided, not finished yet, and the keys are there: under way, or cut short. */
  readonly unfinished: readonly RecordSections[];
  /** Why the decisions could not all be read; nothing was compared then. */
  readonly unreadable?: string;
}

/** Where nothing was looked at. */
export const NO_ERASURES: ErasureCheck = { undecided: [], revived: [], unfinished: [] };

/**
 * Compares.
 *
 * @param from first record whose keys were looked at.
 * @param destroyed for each record a byte whose bits are the sections whose keys are destroyed.
 */
export async function checkErasures(log: ReadOnlyLog, from: Position, destroyed: Uint8Array): Promise<ErasureCheck> {
  // A server that runs decides before it destroys: what was seen to be destroyed is decided in what the log has by now. What
  // it finished since may have been looked at before.
  const sizeThen = destroyed.length;
  let decisions: Decisions;
  try {
    await log.refresh();
    decisions = await readDecisions(log, sizeThen);
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    return { ...NO_ERASURES, unreadable: error.message };
  }
  const { decided, due } = decisions;
  const undecided: RecordSections[] = [];
  const revived: RecordSections[] = [];
  const unfinished: RecordSections[] = [];
  for (let position = from; position < sizeThen; position++) {
    const gone = destroyed[position] ?? 0;
    const without = gone & ~(decided[position] ?? 0);
    if (without !== 0) undecided.push({ position, sections: sectionsOf(without) });
    const missing = (decided[position] ?? 0) & ~gone;
    if (missing === 0) continue;
    const there = await thereOf(log, position, missing);
    const isDue = (section: number): boolean => ((due[position] ?? 0) & (1 << section)) !== 0;
    addSections(revived, position, there.filter(isDue));
    addSections(
      unfinished,
      position,
      there.filter((section) => !isDue(section)),
    );
  }
  return { undecided, revived, unfinished };
}

function addSections(list: RecordSections[], position: Position, sections: readonly number[]): void {
  if (sections.length > 0) list.push({ position, sections });
}

/** As findings. */
export function findingsOf({ undecided, revived, unreadable }: ErasureCheck): Finding[] {
  const why = `destroyed keys cannot be held against the decisions on record: ${unreadable}`;
  return [
    ...(unreadable === undefined ? [] : [{ kind: 'damaged', message: why } as const]),
    ...undecided.map(({ position, sections }): Finding => {
      const message = `record ${position}: ${named(sections)} destroyed without a decision on record`;
      return { kind: 'undecided', message, position };
    }),
    ...revived.map(({ position, sections }): Finding => {
      const message = `record ${position}: ${named(sections)} there, though a record says that it was destroyed: a keyring was put back`;
      return { kind: 'revived', message, position };
    }),
  ];
}

function named(sections: readonly number[]): string {
  const [first] = sections;
  return sections.length === 1 ? `the key of section ${first} is` : `the keys of sections ${sections.join(', ')} are`;
}

/** For each of the first records, as bits: which sections were decided to go, and which of them are recorded to be gone. */
interface Decisions {
  readonly decided: Uint8Array;
  readonly due: Uint8Array;
}

async function readDecisions(log: ReadOnlyLog, size: number): Promise<Decisions> {
  const decided = new Uint8Array(size);
  const due = new Uint8Array(size);
  let pending: { readonly at: Position; readonly items: Uint8Array }[] = [];
  for await (const record of log.readStream(ERASURES_STREAM)) {
    const read = readComplianceRecord(record);
    if (read?.kind === 'destruction.decided') {
      note(decided, read.fields.items);
      pending.push({ at: record.position, items: read.fields.items });
    } else if (read?.kind === 'destruction.finished' && record.position < size) {
      const { upTo } = read.fields;
      for (const { at, items } of pending) if (at <= upTo) note(due, items);
      pending = pending.filter(({ at }) => at > upTo);
    }
  }
  return { decided, due };
}

function note(masks: Uint8Array, items: Uint8Array): void {
  for (const { position, section } of unpackSections(items)) {
    if (position < masks.length) masks[position] = (masks[position] ?? 0) | (1 << section);
  }
}

/** Which of some sections have a key; none of a record that cannot be read, which is a finding of its own. */
async function thereOf(log: ReadOnlyLog, position: Position, mask: number): Promise<number[]> {
  const record = await log.readRaw(position).catch(() => undefined);
  if (record === undefined) return [];
  const { destroyed } = await log.checkSections([record]);
  const gone = new Set(destroyed.map(({ section }) => section));
  return sectionsOf(mask).filter((section) => section < record.sealedSections.length && !gone.has(section));
}

function sectionsOf(mask: number): number[] {
  return Array.from({ length: MAX_SECTIONS }, (_, section) => section).filter(
    (section) => (mask & (1 << section)) !== 0,
  );
}
