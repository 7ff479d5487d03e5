/** Every setting with what it is for, what it may be, and what it is. */
import { variableName } from './environment.ts';
import type { LoadedConfig } from './load.ts';
import { settingsSchema } from './schema.ts';
import { type Shape, shapeOf } from './shape.ts';

export interface ExplainedSetting {
  /** As in the file, `N` for a place in a list: `listeners.N.port`. */
  readonly key: string;
  readonly type: string;
  readonly doc: string;
  /** As it would be written in the file; undefined where there is none. */
  readonly default: unknown;
  readonly environment: string;
  /** What is in effect, for a place in a list that of each element; secrets as `(secret)`. */
  readonly value: unknown;
  /** Where the value comes from: the file, a variable; undefined for the default. */
  readonly source: string | undefined;
  /** Says so where this version accepts the setting without acting on it. */
  readonly notInEffect: string | undefined;
}

const MASK = '(secret)';

/** All settings in the order of the schema. */
export function explainConfig({ config, sources }: Pick<LoadedConfig, 'config' | 'sources'>): ExplainedSetting[] {
  const explained: ExplainedSetting[] = [];
  const visit = (shape: Shape, path: readonly string[]): void => {
    const { note } = shape;
    if (note !== undefined) {
      const key = path.join('.');
      const values = path.includes('N') ? undefined : valueAt(config, path);
      explained.push({
        key,
        type: note.type,
        doc: note.doc,
        default: defaultOf(path),
        environment: variableName(path),
        value: masked(note.isSecret === true, path.includes('N') ? valuesAt(config, path) : values),
        source: sources.get(key),
        notInEffect: note.notInEffect,
      });
    }
    if (shape.kind === 'mapping') for (const [name, member] of shape.members) visit(member, [...path, name]);
    if (shape.kind === 'list' && shape.element.kind === 'mapping') visit(shape.element, [...path, 'N']);
  };
  visit(ROOT_SHAPE, []);
  return explained;
}

const ROOT_SHAPE = shapeOf(settingsSchema);

/** The secrets that are set, by key: for telling whether one changed. Never to be shown. */
export function* secretSettings(config: LoadedConfig['config']): Generator<readonly [key: string, value: unknown]> {
  for (const path of secretPaths(ROOT_SHAPE, [])) {
    const value = path.includes('N') ? valuesAt(config, path) : valueAt(config, path);
    const isSet = Array.isArray(value) ? value.some((one) => one !== null) : value !== null && value !== undefined;
    if (isSet) yield [path.join('.'), value];
  }
}

function secretPaths(shape: Shape, path: readonly string[]): (readonly string[])[] {
  if (shape.note?.isSecret === true) return [path];
  if (shape.kind === 'mapping') {
    return [...shape.members].flatMap(([name, member]) => secretPaths(member, [...path, name]));
  }
  return shape.kind === 'list' ? secretPaths(shape.element, [...path, 'N']) : [];
}

/** The defaults, as the smallest file gives them. Sizes and durations as they are written. */
const DEFAULTS: unknown = settingsSchema.parse({ server_name: 'localhost', listeners: [{ tls: null }] });
const WRITTEN_DEFAULTS: Readonly<Record<string, unknown>> = { 'media.max_upload': '100MiB', 'turn.lifetime': '1h' };

function defaultOf(path: readonly string[]): unknown {
  const key = path.join('.');
  if (key === 'server_name') return undefined;
  if (Object.hasOwn(WRITTEN_DEFAULTS, key)) return WRITTEN_DEFAULTS[key];
  return path.includes('N') ? valuesAt(DEFAULTS, path)[0] : valueAt(DEFAULTS, path);
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/** What is at a path through one list, of each of its elements. */
function valuesAt(root: unknown, path: readonly string[]): unknown[] {
  const place = path.indexOf('N');
  const list = valueAt(root, path.slice(0, place));
  return Array.isArray(list) ? list.map((element) => valueAt(element, path.slice(place + 1)) ?? null) : [];
}

function masked(isSecret: boolean, value: unknown): unknown {
  return isSecret && value !== null ? MASK : value;
}
