import { isJsonObject, type MutableJsonObject, ownValue, setOwnValue } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';

/** Deepest path that is followed; what lies deeper is left out. */
const MAX_PATH_DEPTH = 32;

/** Fields to keep: each with those to keep of what it holds, or `all`. */
type Selection = Map<string, Selection | 'all'>;

/**
 * Compiles the `event_fields` of a filter into a function that gives an event with only those fields.
 * https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths
 */
export function compileEventFields(paths: readonly string[]): (event: JsonObject) => JsonObject {
  const selection: Selection = new Map();
  for (const path of paths) {
    const keys = parsePath(path);
    if (keys.length <= MAX_PATH_DEPTH) addPath(selection, keys);
  }
  return (event) => select(event, selection);
}

/** `content.m\.relates_to.rel_type` → `content`, `m.relates_to`, `rel_type`. */
export function parsePath(path: string): string[] {
  const keys: string[] = [];
  let key = '';
  for (let at = 0; at < path.length; at += 1) {
    const character = path.charAt(at);
    const next = path.charAt(at + 1);
    if (character === '\\' && (next === '.' || next === '\\')) {
      key += next;
      at += 1;
    } else if (character === '.') {
      keys.push(key);
      key = '';
    } else {
      key += character;
    }
  }
  keys.push(key);
  return keys;
}

function addPath(selection: Selection, keys: readonly string[]): void {
  let within = selection;
  for (const [index, key] of keys.entries()) {
    const known = within.get(key);
    if (known === 'all') return;
    if (index === keys.length - 1) {
      within.set(key, 'all');
      return;
    }
    const inner: Selection = known ?? new Map();
    within.set(key, inner);
    within = inner;
  }
}

/** As deep as the longest path, so at most {@link MAX_PATH_DEPTH}. */
function select(value: JsonObject, selection: Selection): JsonObject {
  const selected: MutableJsonObject = {};
  for (const [key, inner] of selection) {
    const field = ownValue(value, key);
    if (field === undefined) continue;
    if (inner === 'all') setOwnValue(selected, key, field);
    else if (isJsonObject(field)) setOwnValue(selected, key, select(field, inner));
  }
  return selected;
}
