/** The schema as a tree that can be walked: for names from the environment, for misspelled keys, for `config explain`. */
import type { z } from 'zod';
import { type SettingNote, settingNotes } from './schema.ts';

/** A place in the schema: a mapping of named settings, a list of alike ones, or a single value. */
export type Shape =
  | { readonly kind: 'mapping'; readonly members: ReadonlyMap<string, Shape>; readonly note: SettingNote | undefined }
  | { readonly kind: 'list'; readonly element: Shape; readonly note: SettingNote | undefined }
  | { readonly kind: 'value'; readonly schema: z.core.$ZodType; readonly note: SettingNote | undefined };

/** The shape of a schema made of mappings, lists and values, each perhaps with a default or nullable. */
export function shapeOf(schema: z.core.$ZodType): Shape {
  const note = settingNotes.get(schema as z.ZodType);
  const inner = unwrap(schema);
  const definition = (inner as z.core.$ZodTypes)._zod.def;
  if (definition.type === 'object') {
    const members = Object.entries(definition.shape).map(([name, member]) => [name, shapeOf(member)] as const);
    return { kind: 'mapping', members: new Map(members), note };
  }
  if (definition.type === 'array') return { kind: 'list', element: shapeOf(definition.element), note };
  return { kind: 'value', schema, note };
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema;
  for (;;) {
    const definition = (inner as z.core.$ZodTypes)._zod.def;
    if (definition.type !== 'default' && definition.type !== 'prefault' && definition.type !== 'nullable') return inner;
    inner = definition.innerType;
  }
}

/** The shape at a path, through lists by index; `undefined` if there is none. */
export function shapeAt(root: Shape, path: readonly PropertyKey[]): Shape | undefined {
  let shape: Shape | undefined = root;
  for (const step of path) {
    if (shape?.kind === 'list') shape = shape.element;
    else if (shape?.kind === 'mapping') shape = shape.members.get(String(step));
    else return undefined;
  }
  return shape;
}
