/** Which state of a room a client wants: `required_state`, in the form of today's clients and in that of the proposal. */

/** Most elements of one `required_state`. */
export const MAX_ELEMENTS = 500;

/** A pattern for a key of the state; what is undefined matches everything. */
export interface StatePattern {
  readonly type: string | undefined;
  readonly stateKey: string | undefined;
}

/** One `required_state` as it was asked for. */
export interface RequiredStatePart {
  readonly include: readonly StatePattern[];
  readonly exclude: readonly StatePattern[];
  /** Of the members, those that the timeline needs. */
  readonly isLazy: boolean;
}

const MEMBER = 'm.room.member';

/** What several rules together want of a room's state: whatever one of them wants. */
export class RequiredState {
  /** The same text for the same wishes. */
  readonly key: string;
  readonly #parts: readonly RequiredStatePart[];

  constructor(parts: readonly RequiredStatePart[]) {
    const byText = new Map(parts.map((part) => [partText(part), part]));
    const texts = [...byText.keys()].sort();
    this.#parts = texts.flatMap((text) => byText.get(text) ?? []);
    this.key = `[${texts.join(',')}]`;
  }

  /** What a {@link key} stands for. */
  static ofKey(key: string): RequiredState {
    const stored = JSON.parse(key) as StoredPart[];
    return new RequiredState(
      stored.map(([include, exclude, isLazy]) => ({
        include: include.map(patternOf),
        exclude: exclude.map(patternOf),
        isLazy,
      })),
    );
  }

  /** Whether members are sent as the timeline needs them. */
  get isLazy(): boolean {
    return this.#parts.some((part) => part.isLazy);
  }

  /** Whether a state event is wanted by itself, however little the timeline needs it. */
  matches(type: string, stateKey: string): boolean {
    return this.#parts.some((part) => partMatches(part, type, stateKey));
  }

  /** Whether all that the other wants is wanted here, as far as that is plain to see. */
  covers(other: RequiredState): boolean {
    if (other.isLazy && !this.isLazy && !this.matchesAnyMember()) return false;
    return other.#parts.every((wanted) => this.#parts.some((part) => partCovers(part, wanted)));
  }

  /** Whether all member events are wanted. */
  matchesAnyMember(): boolean {
    return this.#parts.some(
      (part) => part.exclude.length === 0 && part.include.some((one) => one.stateKey === undefined && isOf(one, part)),
    );
  }

  /** Where to look: single keys, types as a whole, or everything. */
  lookUps(): StateLookUps {
    const keys = new Map<string, { readonly type: string; readonly stateKey: string }>();
    const types = new Set<string>();
    for (const { include } of this.#parts) {
      for (const { type, stateKey } of include) {
        if (type === undefined) return { isEverything: true, types: [], keys: [] };
        if (stateKey === undefined) types.add(type);
        else keys.set(JSON.stringify([type, stateKey]), { type, stateKey });
      }
    }
    return {
      isEverything: false,
      types: [...types],
      keys: [...keys.values()].filter(({ type }) => !types.has(type)),
    };
  }
}

/** Where the events that are wanted are to be found. */
export interface StateLookUps {
  readonly isEverything: boolean;
  readonly types: readonly string[];
  readonly keys: readonly { readonly type: string; readonly stateKey: string }[];
}

/** Whether a pattern that names no state key reaches member events: where members are lazy, only if it names their type. */
function isOf({ type }: StatePattern, { isLazy }: RequiredStatePart): boolean {
  return type === MEMBER || (type === undefined && !isLazy);
}

function partMatches(part: RequiredStatePart, type: string, stateKey: string): boolean {
  const isIncluded = part.include.some((pattern) => {
    if (!patternMatches(pattern, type, stateKey)) return false;
    return type !== MEMBER || pattern.stateKey !== undefined || isOf(pattern, part);
  });
  return isIncluded && !part.exclude.some((pattern) => patternMatches(pattern, type, stateKey));
}

function patternMatches(pattern: StatePattern, type: string, stateKey: string): boolean {
  return (
    (pattern.type === undefined || pattern.type === type) &&
    (pattern.stateKey === undefined || pattern.stateKey === stateKey)
  );
}

function partCovers(part: RequiredStatePart, wanted: RequiredStatePart): boolean {
  if (partText(part) === partText(wanted)) return true;
  if (part.exclude.length > 0 || part.isLazy !== wanted.isLazy) return false;
  return wanted.include.every((one) =>
    part.include.some(
      (pattern) =>
        (pattern.type === undefined || pattern.type === one.type) &&
        (pattern.stateKey === undefined || pattern.stateKey === one.stateKey) &&
        // With lazy members, a pattern of any type leaves members out.
        (!part.isLazy || pattern.type === one.type || pattern.stateKey !== undefined),
    ),
  );
}

type StoredPattern = readonly [type: string | null, stateKey: string | null];
type StoredPart = readonly [include: readonly StoredPattern[], exclude: readonly StoredPattern[], isLazy: boolean];

function partText({ include, exclude, isLazy }: RequiredStatePart): string {
  return `[[${patternTexts(include)}],[${patternTexts(exclude)}],${isLazy}]`;
}

function patternTexts(patterns: readonly StatePattern[]): string {
  const texts = patterns.map(({ type = null, stateKey = null }) => JSON.stringify([type, stateKey]));
  return [...new Set(texts)].sort().join(',');
}

function patternOf([type, stateKey]: StoredPattern): StatePattern {
  return { type: type ?? undefined, stateKey: stateKey ?? undefined };
}
