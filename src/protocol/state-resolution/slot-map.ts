import type { StateEventType } from '../auth/types.ts';

/** A map by type and state key. The texts are kept apart, as either may hold any character. */
export class SlotMap<Value> {
  readonly #byType = new Map<string, Map<string, Value>>();

  get(type: string, stateKey: string): Value | undefined {
    return this.#byType.get(type)?.get(stateKey);
  }

  set(type: string, stateKey: string, value: Value): void {
    const byStateKey = this.#byType.get(type);
    if (byStateKey === undefined) this.#byType.set(type, new Map([[stateKey, value]]));
    else byStateKey.set(stateKey, value);
  }

  *entries(): Generator<StateEventType & { readonly value: Value }> {
    for (const [type, byStateKey] of this.#byType) {
      for (const [stateKey, value] of byStateKey) yield { type, stateKey, value };
    }
  }
}
