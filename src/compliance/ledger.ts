/** Takes in verdicts and puts them on record: what goes, in batches as large as a record holds, and what is kept although it was asked for. */

import { keptBy } from '#projections/compliance/projection.ts';
import { knownToBeKept } from '#projections/compliance/queries.ts';
import { type Cause, complianceRecord, ERASURES_STREAM, type ItemClass } from '#projections/compliance/records.ts';
import { packSections } from '#projections/compliance/section-list.ts';
import type { Reader } from '#projections/engine/reader.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Position } from '#streams/event-log.ts';
import { onHold, type Rule, type StandingHold, type Verdict } from './decision/decide.ts';
import type { Destruction } from './destruction/destruction.ts';
import type { Holds } from './holds.ts';
import type { ClassifiedItem } from './items.ts';
import { type HeldMediaOptions, MediaInHeldRooms } from './media-in-rooms.ts';

/** Items that are gathered before they are put on record. */
const GATHERED_ITEMS = 2_000;

/** What is said of the kept, to people. */
export interface KeptCount {
  readonly rule: Rule;
  readonly why: string;
  readonly count: number;
}

interface Group {
  readonly rule: Rule;
  readonly why: string;
  readonly holdIds: readonly string[];
  items: ClassifiedItem[];
}

export interface LedgerOptions {
  readonly log: HeldMediaOptions['log'];
  readonly reader: Reader;
  readonly commands: StreamCommands;
  readonly newRecordId: () => Uint8Array;
  readonly destruction: Pick<Destruction, 'destroy'>;
  readonly holds: Pick<Holds, 'whileTheyStand'>;
  readonly cause: Cause;
  readonly requestId: string | null;
}

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #inRooms: MediaInHeldRooms;
  readonly #going = new Map<string, Group>();
  readonly #kept = new Map<string, Group>();
  readonly #keptCounts = new Map<string, { rule: Rule; why: string; count: number }>();
  readonly #destroyedCounts = new Map<ItemClass, number>();
  readonly #holdIds = new Set<string>();
  readonly #records: Position[] = [];
  #gathered = 0;
  #media = 0;
  #deferred = 0;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#inRooms = new MediaInHeldRooms(options);
  }

  /** Takes in a verdict. Gives a promise where a batch is to be written before more is taken in. */
  take(item: ClassifiedItem, verdict: Verdict): Promise<void> | undefined {
    const { rule, why, holdIds, outcome } = verdict;
    if (outcome === 'gone' || rule === 'not_due') return undefined;
    if (outcome === 'destroy') {
      gather(this.#going, why, { rule, why, holdIds }, item);
      this.#gathered++;
    } else {
      this.#keep(item, verdict);
    }
    return this.#gathered >= GATHERED_ITEMS ? this.flush() : undefined;
  }

  /** Puts all that was taken in on record, and destroys the keys of what goes, but for what was put on hold since it was taken in. */
  async flush(): Promise<void> {
    this.#gathered = 0;
    const going = [...this.#going.values()];
    this.#going.clear();
    for (const group of going) {
      await this.#options.holds.whileTheyStand((standing) => this.#destroy(group, standing));
    }
    await this.#recordKept();
  }

  async #destroy({ why, items }: Group, standing: readonly StandingHold[]): Promise<void> {
    const { destruction, cause, requestId } = this.#options;
    // A room that was put on hold meanwhile, and what was sent to one that was, keeps files too.
    if (items.some(({ mediaId }) => mediaId !== undefined)) await this.#inRooms.refresh(standing);
    const free = items.filter((item) => {
      const held = onHold(this.#inRooms.located(item), standing);
      if (held !== undefined) this.#keep(item, held);
      return held === undefined;
    });
    this.#records.push(...(await destruction.destroy({ cause, requestId, why, items: free })));
    for (const item of free) {
      this.#destroyedCounts.set(item.class, (this.#destroyedCounts.get(item.class) ?? 0) + 1);
      if (item.sha256 !== undefined) this.#media++;
    }
  }

  /** Takes note that something is kept, to be put on record where that is news. */
  #keep(item: ClassifiedItem, { rule, why, holdIds, outcome }: Verdict): void {
    if (outcome === 'defer') this.#deferred++;
    for (const id of holdIds) this.#holdIds.add(id);
    const counted = this.#keptCounts.get(why) ?? { rule, why, count: 0 };
    counted.count++;
    this.#keptCounts.set(why, counted);
    const { reader, cause } = this.#options;
    const by = keptBy(rule, holdIds);
    if (item.sections.every((section) => knownToBeKept(reader, { ...item, section, cause }) === by)) return;
    gather(this.#kept, by, { rule, why, holdIds }, item);
    this.#gathered++;
  }

  async #recordKept(): Promise<void> {
    const { commands, newRecordId, cause, requestId } = this.#options;
    const kept = [...this.#kept.values()];
    this.#kept.clear();
    for (const { rule, why, holdIds, items } of kept) {
      const fields = { cause, requestId, rule, why, holdIds: [...holdIds], items: packSections(items) };
      await commands.run(ERASURES_STREAM, () => ({
        records: [complianceRecord(newRecordId(), 'decision.kept', fields)],
        result: undefined,
      }));
    }
  }

  /** Items that went, by class. */
  get destroyed(): ReadonlyMap<ItemClass, number> {
    return this.#destroyedCounts;
  }

  /** Files among them. */
  get media(): number {
    return this.#media;
  }

  /** Items that wait for holds. */
  get deferred(): number {
    return this.#deferred;
  }

  /** The holds for which they wait. */
  get holdIds(): readonly string[] {
    return [...this.#holdIds];
  }

  /** What was kept, and why. */
  get kept(): readonly KeptCount[] {
    return [...this.#keptCounts.values()];
  }

  /** Positions of the records that say what went. */
  get records(): readonly Position[] {
    return this.#records;
  }
}

function gather(groups: Map<string, Group>, key: string, about: Omit<Group, 'items'>, item: ClassifiedItem): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, { ...about, items: [item] });
  else group.items.push(item);
}
