/**
 * Settings from the environment; no other file reads it.
 *
 * A variable is `STELE_` and the path of the setting in capitals, two underscores between levels, the index for a place in a
 * list: `STELE_SERVER_NAME`, `STELE_REGISTRATION__OPEN=true`, `STELE_LISTENERS__0__PORT=8080`. A whole list or mapping can
 * be given as YAML: `STELE_APPSERVICES='[a.yaml, b.yaml]'`. Where a setting may be null, the empty text is null.
 * `STELE_CONFIG` names the configuration file.
 */
import { parse } from 'yaml';
import { safeParse } from 'zod/v4/core';
import type { ConfigProblem } from './errors.ts';
import { nearestName } from './nearest.ts';
import { type Shape, shapeAt } from './shape.ts';

const PREFIX = 'STELE_';
const SEPARATOR = '__';
/** Names the configuration file; no setting. */
export const CONFIG_FILE_VARIABLE = 'STELE_CONFIG';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. */
export function processEnvironment(): Environment {
  return process.env;
}

/** Whether npm runs this process for one of its scripts: then `stele` is best called the same way. */
export function isStartedByNpm(): boolean {
  return process.env.npm_command !== undefined;
}

/** A setting that the environment gives. */
export interface EnvironmentSetting {
  readonly variable: string;
  readonly path: readonly (string | number)[];
  readonly value: unknown;
}

export interface FromEnvironment {
  /** In an order in which they can be laid over each other: outer ones first. */
  readonly settings: readonly EnvironmentSetting[];
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

/** Name of the variable that sets what is at a path. */
export function variableName(path: readonly PropertyKey[]): string {
  return PREFIX + path.map((step) => String(step).toUpperCase()).join(SEPARATOR);
}

/**
 * The settings that the environment gives. A variable that begins like a setting but is none is a problem; one that has
 * nothing to do with any is left alone (others use the prefix too), with a warning if it looks misspelled.
 */
export function readEnvironment(environment: Environment, root: Shape): FromEnvironment {
  const settings: EnvironmentSetting[] = [];
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const topLevel = root.kind === 'mapping' ? [...root.members.keys()] : [];

  for (const variable of Object.keys(environment).sort()) {
    const text = environment[variable];
    if (!variable.startsWith(PREFIX) || variable === CONFIG_FILE_VARIABLE || text === undefined) continue;
    const steps = variable.slice(PREFIX.length).toLowerCase().split(SEPARATOR);
    const path = steps.map((step) => (/^\d+$/.test(step) ? Number(step) : step));
    const shape = shapeAt(root, path);
    if (shape !== undefined) {
      const given = readValue(text, shape);
      if ('problem' in given) problems.push({ where: variable, key: path.join('.'), message: given.problem });
      else settings.push({ variable, path, value: given.value });
      continue;
    }
    const first = steps[0] ?? '';
    if (topLevel.includes(first)) {
      problems.push({ where: variable, key: path.join('.'), message: unknownVariable(root, path) });
    } else {
      const near = nearestName(first, topLevel);
      if (near !== undefined) warnings.push(`${variable} is no setting; did you mean ${variableName([near])}?`);
    }
  }
  settings.sort((a, b) => a.path.length - b.path.length);
  return { settings, problems, warnings };
}

function unknownVariable(root: Shape, path: readonly (string | number)[]): string {
  for (let depth = 1; depth < path.length; depth += 1) {
    const parent = shapeAt(root, path.slice(0, depth));
    if (parent?.kind !== 'mapping' || parent.members.has(String(path[depth]))) continue;
    const near = nearestName(String(path[depth]), parent.members.keys());
    if (near !== undefined) {
      return `is no setting; did you mean ${variableName([...path.slice(0, depth), near])}?`;
    }
  }
  return 'is no setting';
}

/** A variable's text as the value that a YAML file would give. */
function readValue(text: string, shape: Shape): { value: unknown } | { problem: string } {
  if (shape.kind === 'value') {
    if (text === '' && takes(shape, null)) return { value: null };
    // Text stays text where text is wanted, even if YAML would make a number of it.
    if (takes(shape, text)) return { value: text };
  }
  try {
    return { value: parse(text) };
  } catch {
    return { problem: 'is not valid YAML' };
  }
}

function takes(shape: Extract<Shape, { kind: 'value' }>, value: unknown): boolean {
  return safeParse(shape.schema, value).success;
}
