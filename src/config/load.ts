/** Makes the configuration of a server from its file, the environment and the defaults. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { CONFIG_FILE_VARIABLE, type Environment, readEnvironment } from './environment.ts';
import { ConfigError, type ConfigProblem } from './errors.ts';
import { nearestName } from './nearest.ts';
import { checkRules, isLoopback } from './rules.ts';
import { type Config, SETTINGS_WITHOUT_A_FILE, type Settings, settingsSchema } from './schema.ts';
import { shapeAt, shapeOf } from './shape.ts';

export interface LoadOptions {
  /** Path of the YAML file. Without it, what `STELE_CONFIG` names; without that, the defaults of `npm start`. */
  readonly file?: string | undefined;
  readonly environment: Environment;
  /** Where a relative `file` starts, and, without a file, every other relative path. */
  readonly workingDir: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The file it came from, absolute; undefined for the defaults. */
  readonly file: string | undefined;
  /** What is allowed but probably not meant, or not in effect in this version: a sentence each. */
  readonly warnings: readonly string[];
  /** Where each setting that is not a default comes from, by its path as `listeners.0.port`. */
  readonly sources: ReadonlyMap<string, string>;
}

const ROOT_SHAPE = shapeOf(settingsSchema);

/**
 * Loads the configuration.
 * @throws {ConfigError} with everything that is wrong at once.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const source = await readSource(options);
  const fromEnvironment = readEnvironment(options.environment, ROOT_SHAPE);
  const problems: ConfigProblem[] = [...fromEnvironment.problems];
  const sources = new Map<string, string>();
  const variables = new Map<string, string>();
  let settings: unknown = source.settings;
  recordSources(settings, source.name, [], sources);
  for (const { variable, path: where, value } of fromEnvironment.settings) {
    settings = withValue(settings, where, value);
    recordSources(value, variable, where, sources);
    variables.set(where.join('.'), variable);
  }

  const parsed = settingsSchema.safeParse(settings ?? {});
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      for (const problem of problemsOf(issue)) {
        problems.push({ ...problem, where: whereIs(problem.steps, variables) ?? source.lineOf(problem.steps) });
      }
    }
    throw new ConfigError(problems.map(({ where, key, message }) => ({ where, key, message })));
  }
  const rules = checkRules(parsed.data);
  for (const { steps, message } of rules.problems) {
    problems.push({
      where: whereIs(steps, variables) ?? source.lineOf(steps),
      key: steps.join('.'),
      message,
    });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    config: complete(parsed.data, source.baseDir),
    file: source.file,
    warnings: [...fromEnvironment.warnings, ...rules.warnings],
    sources,
  };
}

interface Source {
  readonly settings: unknown;
  readonly file: string | undefined;
  /** How the source is called in messages. */
  readonly name: string;
  readonly baseDir: string;
  /** File and line of what is at a path, or of the nearest thing around it. */
  lineOf(steps: readonly PropertyKey[]): string | undefined;
}

async function readSource({ file, environment, workingDir }: LoadOptions): Promise<Source> {
  const given = file ?? environment[CONFIG_FILE_VARIABLE];
  if (given === undefined || given === '') {
    return {
      settings: SETTINGS_WITHOUT_A_FILE,
      file: undefined,
      name: 'trial defaults',
      baseDir: workingDir,
      lineOf: () => undefined,
    };
  }
  const absolute = path.resolve(workingDir, given);
  let text: string;
  try {
    text = await readFile(absolute, 'utf8');
  } catch (error) {
    const reason =
      error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'does not exist' : String(error);
    throw new ConfigError([{ where: given, key: '', message: `cannot be read: it ${reason}` }]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map((error) => ({
        where: `${given}:${lines.linePos(error.pos[0]).line}`,
        key: '',
        message: (error.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, ''),
      })),
    );
  }
  return {
    settings: settingsIn(document, given),
    file: absolute,
    name: given,
    baseDir: path.dirname(absolute),
    lineOf: (steps) => {
      const offset = offsetOf(document, steps);
      return offset === undefined ? given : `${given}:${lines.linePos(offset).line}`;
    },
  };
}

/** Where in the text a setting is: its key if it has one, else the nearest thing around it. */
function offsetOf(document: Document, steps: readonly PropertyKey[]): number | undefined {
  for (let depth = steps.length; depth > 0; depth -= 1) {
    const parent = depth === 1 ? document.contents : document.getIn(steps.slice(0, depth - 1), true);
    const step = steps[depth - 1];
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === step);
      if (pair !== undefined && isScalar(pair.key)) return pair.key.range?.[0];
    }
    const node = document.getIn(steps.slice(0, depth), true);
    if (isNode(node)) return node.range?.[0];
  }
  return undefined;
}

function whereIs(steps: readonly PropertyKey[], variables: ReadonlyMap<string, string>): string | undefined {
  for (let depth = steps.length; depth > 0; depth -= 1) {
    const variable = variables.get(steps.slice(0, depth).join('.'));
    if (variable !== undefined) return variable;
  }
  return undefined;
}

interface PlacedProblem extends ConfigProblem {
  readonly steps: readonly PropertyKey[];
}

function problemsOf(issue: z.core.$ZodIssue): PlacedProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const steps = [...issue.path, key];
      const shape = shapeAt(ROOT_SHAPE, issue.path);
      const near = shape?.kind === 'mapping' ? nearestName(key, shape.members.keys()) : undefined;
      const hint = near === undefined ? '' : `; did you mean ${[...issue.path, near].join('.')}?`;
      return { steps, where: undefined, key: steps.join('.'), message: `is no setting${hint}` };
    });
  }
  const isMissing = issue.code === 'invalid_type' && issue.input === undefined && issue.path.length > 0;
  const message = isMissing && isAbsent(issue) ? 'has to be set' : sentence(issue.message);
  return [{ steps: issue.path, where: undefined, key: issue.path.join('.'), message }];
}

function isAbsent(issue: z.core.$ZodIssue): boolean {
  return issue.message.endsWith('received undefined');
}

/** Zod says `Invalid input: expected boolean, received string`; our own messages begin with a verb. */
function sentence(message: string): string {
  const expected = /^Invalid input: expected (.+), received (.+)$/.exec(message);
  if (expected !== null) return `has to be ${expected[1]}, not ${expected[2]}`;
  return message.startsWith('Invalid') || message.startsWith('Too') ? `is wrong: ${message}` : message;
}

/** A copy of `root` with `value` at `steps`, mappings and lists made where there are none. */
function withValue(root: unknown, steps: readonly (string | number)[], value: unknown): unknown {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  if (typeof step === 'number') {
    const list: unknown[] = Array.isArray(root) ? [...root] : [];
    list[step] = withValue(list[step], rest, value);
    // A place that nothing fills takes the defaults of the list's elements.
    return Array.from(list, (element) => element ?? {});
  }
  const mapping = typeof root === 'object' && root !== null && !Array.isArray(root) ? root : {};
  return { ...mapping, [step]: withValue((mapping as Record<string, unknown>)[step], rest, value) };
}

function recordSources(
  value: unknown,
  name: string,
  steps: readonly (string | number)[],
  sources: Map<string, string>,
): void {
  sources.set(steps.join('.'), name);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) recordSources(member, name, [...steps, key], sources);
}

/** Makes paths absolute, and fills in what depends on other settings. */
function complete(settings: Settings, baseDir: string): Config {
  const absolute = (given: string): string => path.resolve(baseDir, given);
  const dataDir = absolute(settings.data_dir);
  const { ca_file: caFile } = settings.federation;
  const { key_file: policyKey } = settings.policy_server;
  const { timestamp_authority: authority } = settings.transparency;
  return {
    ...settings,
    data_dir: dataDir,
    public_base_url: (settings.public_base_url ?? defaultBaseUrl(settings)).replace(/\/+$/, ''),
    signing_key_file:
      settings.signing_key_file === null ? path.join(dataDir, 'signing.key') : absolute(settings.signing_key_file),
    listeners: settings.listeners.map((listener) => ({
      ...listener,
      tls: listener.tls === null ? null : { cert: absolute(listener.tls.cert), key: absolute(listener.tls.key) },
    })),
    policy_server: { ...settings.policy_server, key_file: policyKey === null ? null : absolute(policyKey) },
    federation: { ...settings.federation, ca_file: caFile === null ? null : absolute(caFile) },
    transparency: {
      ...settings.transparency,
      timestamp_authority: authority && { ...authority, ca_file: absolute(authority.ca_file) },
    },
    appservices: settings.appservices.map(absolute),
    audit: {
      ...settings.audit,
      streams: settings.audit.streams.map((stream) => ({
        ...stream,
        path: stream.path === null ? null : absolute(stream.path),
      })),
    },
  };
}

function defaultBaseUrl({ listeners, server_name: serverName }: Settings): string {
  const first = listeners.find(({ serves }) => serves.includes('client'));
  if (first === undefined || !isLoopback(first.bind)) return `https://${serverName}`;
  const host = first.bind.includes(':') ? `[${first.bind}]` : first.bind;
  return `${first.tls === null ? 'http' : 'https'}://${host}:${first.port}`;
}

/** The settings of a document. Throws ConfigError where its aliases name nothing, or multiply beyond reason. */
function settingsIn(document: ReturnType<typeof parseDocument>, given: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new ConfigError([{ where: given, key: '', message: `its aliases cannot be followed: ${error.message}` }]);
  }
}
