/** Finds the command of a command line, parses its options, runs it, and makes an exit status of what comes of it. */
import { parseArgs } from 'node:util';
import { type Environment, processEnvironment } from '#src/config/environment.ts';
import { ConfigError } from '#src/config/errors.ts';
import { type LoadOptions, loadConfig } from '#src/config/load.ts';
import { nearestName } from '#src/config/nearest.ts';
import type { Config } from '#src/config/schema.ts';
import {
  type Command,
  type CommandContext,
  type ExitStatus,
  FINDING,
  type OptionDeclaration,
  type OptionDeclarations,
  SUCCESS,
  UsageError,
  WRONG_USAGE,
} from './command.ts';
import { COMMAND_GROUPS, COMMANDS } from './commands.ts';
import { commandHelp, generalHelp, implicitOptions, usageLine } from './help.ts';

/** What a command line works with. */
export interface Surroundings {
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  readonly environment: Environment;
  readonly workingDir: string;
}

/** The surroundings of this process. */
export function processSurroundings(signal: AbortSignal): Surroundings {
  return {
    print: (line) => process.stdout.write(`${line}\n`),
    say: (line) => process.stderr.write(`${line}\n`),
    signal,
    environment: processEnvironment(),
    workingDir: process.cwd(),
  };
}

/** Runs `stele` with these arguments. Never rejects: what goes wrong is said, and shows in the status. */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<ExitStatus> {
  const { print, say } = surroundings;
  let command: Command | undefined;
  try {
    const [first] = args;
    if (first === undefined) {
      say(await allHelp());
      return WRONG_USAGE;
    }
    if (first === 'help' || first === '--help' || first === '-h') {
      const topic = args.slice(1).filter((word) => !word.startsWith('-'));
      print(topic.length === 0 ? await allHelp() : commandHelp((await findCommand(topic)).command));
      return SUCCESS;
    }
    const found = await findCommand(first === '--version' || first === '-v' ? ['version'] : args);
    command = found.command;
    const { values, positionals } = parseOptions(command, args.slice(found.words));
    if (values.help === true) {
      print(commandHelp(command));
      return SUCCESS;
    }
    return await command.run(contextOf(command, values, positionals, surroundings));
  } catch (error) {
    return explain(error, command, surroundings);
  }
}

async function allHelp(): Promise<string> {
  const groups = Object.entries(COMMAND_GROUPS).map(async ([heading, loads]) => {
    const modules = await Promise.all(Object.values(loads).map((load) => load()));
    return { heading, commands: modules.map(({ command }) => command) };
  });
  return generalHelp(await Promise.all(groups));
}

/** The command that the first words name: two words before one, so `proof check` is found before `proof`. */
async function findCommand(args: readonly string[]): Promise<{ command: Command; words: number }> {
  for (const words of [2, 1]) {
    const load = Object.hasOwn(COMMANDS, args.slice(0, words).join(' ')) && COMMANDS[args.slice(0, words).join(' ')];
    if (load) return { command: (await load()).command, words };
  }
  throw new UsageError(unknownVerb(args));
}

function unknownVerb(args: readonly string[]): string {
  const [first = '', second] = args;
  const names = Object.keys(COMMANDS);
  const below = names.filter((name) => name.startsWith(`${first} `));
  const two = second === undefined || second.startsWith('-') ? undefined : nearestName(`${first} ${second}`, names);
  if (below.length > 0 && two === undefined) return `${first} needs another word: ${below.join(', ')}`;
  const near = two ?? nearestName(first, [...names, ...names.map((name) => name.split(' ', 1)[0] ?? name), 'help']);
  const verb = below.length > 0 ? `${first} ${second}` : first;
  return near === undefined ? `unknown verb ${verb}` : `unknown verb ${verb}; did you mean ${near}?`;
}

type Values = Record<string, string | boolean | readonly (string | boolean)[] | undefined>;

interface ParsedArguments {
  readonly values: Values;
  readonly positionals: string[];
}

function parseOptions(command: Command, args: readonly string[]): ParsedArguments {
  const declared: OptionDeclarations = { ...command.options, ...implicitOptions(command) };
  const options = Object.fromEntries(
    Object.entries(declared).map(([name, { type, short, ...rest }]) => [
      name,
      {
        type,
        ...(short === undefined ? {} : { short }),
        multiple: ('multiple' in rest && rest.multiple === true) || isList(declared[name]),
      },
    ]),
  );
  let parsed: ParsedArguments;
  try {
    const { tokens, values } = parseArgs({
      args: args.map((arg) => (isDashedValue(arg, declared) ? MARK + arg : arg)),
      options,
      allowPositionals: true,
      strict: true,
      tokens: true,
    });
    parsed = unmarked(withLists(tokens, { ...values }, declared));
  } catch (error) {
    throw new UsageError(optionProblem(error, Object.keys(declared)));
  }
  const { values, positionals } = parsed;
  if (values.help !== true) {
    const { min, max } = command.positionals ?? { min: 0, max: 0 };
    if (positionals.length < min) throw new UsageError(`${command.name} needs ${command.usage}`);
    if (positionals.length > max)
      throw new UsageError(`${command.name} does not know what to do with ${positionals[max]}`);
  }
  for (const [name, option] of Object.entries(declared)) {
    if (option.type === 'boolean') values[name] ??= false;
    else if (option.multiple === true) values[name] ??= [];
  }
  return { values, positionals };
}

/** Stands before values that begin with a dash, which `parseArgs` would take for options. No argument of a process has it. */
const MARK = '\0';

/**
 * Ids of holds, roles and media may begin with a dash. A word with one dash and more than a letter is such a value, unless it is the
 * name of an option that lacks a dash.
 */
function isDashedValue(arg: string, declared: OptionDeclarations): boolean {
  return /^-[^-]./.test(arg) && !Object.hasOwn(declared, arg.slice(1));
}

function unmarked({ values, positionals }: ParsedArguments): ParsedArguments {
  const plain = <Value>(value: Value): Value | string =>
    typeof value === 'string' && value.startsWith(MARK) ? value.slice(MARK.length) : value;
  return {
    values: Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, Array.isArray(value) ? value.map(plain) : plain(value)]),
    ),
    positionals: positionals.map(plain),
  };
}

function isList(option: OptionDeclaration | undefined): boolean {
  return option !== undefined && 'list' in option && option.list === true;
}

/** What `parseArgs` tells of an argument. */
interface ArgumentToken {
  readonly kind: 'option' | 'positional' | 'option-terminator';
  readonly name?: string;
  readonly value?: string | undefined;
}

/** Gives the words after an option that takes a list to that option. */
function withLists(tokens: readonly ArgumentToken[], values: Values, declared: OptionDeclarations): ParsedArguments {
  const positionals: string[] = [];
  const lists = new Map<string, string[]>();
  let open: string[] | undefined;
  for (const { kind, name, value } of tokens) {
    if (kind === 'positional') (open ?? positionals).push(value ?? '');
    else open = undefined;
    if (kind !== 'option' || name === undefined || !isList(declared[name])) continue;
    open = lists.get(name) ?? [];
    lists.set(name, open);
    open.push(value ?? '');
  }
  return { values: { ...values, ...Object.fromEntries(lists) }, positionals };
}

function optionProblem(error: unknown, names: readonly string[]): string {
  const message = error instanceof Error ? error.message : String(error);
  const unknown = /^Unknown option '(--?)([^']*)'/.exec(message);
  if (unknown?.[2] === undefined) return message.split('. ', 1)[0] ?? message;
  const near = unknown[1] === '--' ? nearestName(unknown[2], names) : undefined;
  return `unknown option ${unknown[1]}${unknown[2]}${near === undefined ? '' : `; did you mean --${near}?`}`;
}

function contextOf(
  command: Command,
  values: Values,
  positionals: readonly string[],
  { print, say, signal, environment, workingDir }: Surroundings,
): CommandContext {
  const file = typeof values.config === 'string' ? values.config : undefined;
  const configSource: LoadOptions = { file, environment, workingDir };
  return {
    options: values as CommandContext['options'],
    positionals,
    json: command.printsData === true && values.json === true,
    print,
    say,
    signal,
    configSource,
    loadConfig: async (): Promise<Config> => {
      const { config, warnings } = await loadConfig(configSource);
      for (const warning of warnings) say(`warning: ${warning}`);
      return config;
    },
  };
}

/** Errors that are mistakes in the program rather than in its surroundings: their stack helps whoever mends it. */
const PROGRAMMING_ERRORS = [TypeError, ReferenceError, RangeError, SyntaxError];

function explain(error: unknown, command: Command | undefined, { say }: Surroundings): ExitStatus {
  if (error instanceof UsageError) {
    say(`stele: ${error.message}`);
    say(command === undefined ? 'See: stele help' : `${usageLine(command)}\nSee: stele help ${command.name}`);
    return WRONG_USAGE;
  }
  if (error instanceof ConfigError) {
    say(`stele: ${error.message}`);
    say('See: stele config explain');
    return WRONG_USAGE;
  }
  const isMistake = PROGRAMMING_ERRORS.some((kind) => error instanceof kind);
  const message = error instanceof Error ? ((isMistake ? error.stack : undefined) ?? error.message) : String(error);
  say(`stele: ${message}`);
  return FINDING;
}
