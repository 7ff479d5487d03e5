/**
 * What a verb of the `stele` command is. A verb is one file in `commands/` that exports `command`, made with
 * {@link defineCommand}; the table in `commands.ts` says where each is.
 *
 * Data goes to standard output, words and progress to standard error.
 */
import type { LoadOptions } from '#src/config/load.ts';
import type { Config } from '#src/config/schema.ts';

/** The command did what it was asked. */
export const SUCCESS = 0;
/** The command ran, and found something wrong (a verification failed, a file is damaged), or could not do its work. */
export const FINDING = 1;
/** The command was not understood: unknown verb or option, missing argument. Also made of any {@link UsageError}. */
export const WRONG_USAGE = 2;

export type ExitStatus = typeof SUCCESS | typeof FINDING | typeof WRONG_USAGE;

/** One option of a command, in the terms of `parseArgs` of node:util, with what help says about it. */
export type OptionDeclaration = {
  /** One sentence for help. */
  readonly description: string;
  /** One letter. */
  readonly short?: string;
} & (
  | { readonly type: 'boolean' }
  | {
      readonly type: 'string';
      /** How help calls the value, in capitals: `FILE`, `POSITION`. */
      readonly value: string;
      /** What help says the default is; the command itself applies it. */
      readonly defaultText?: string;
      readonly multiple?: boolean;
      /** As `multiple`, and the words up to the next option are values of it too: `--pdus a.json b.json`. */
      readonly list?: boolean;
    }
);

export type OptionDeclarations = Readonly<Record<string, OptionDeclaration>>;

/** The values of declared options: `undefined` where an option was not given, except that a boolean is then `false`. */
export type OptionValues<O extends OptionDeclarations> = {
  readonly [Name in keyof O]: O[Name] extends { type: 'boolean' }
    ? boolean
    : O[Name] extends { multiple: true }
      ? readonly string[]
      : O[Name] extends { list: true }
        ? readonly string[] | undefined
        : string | undefined;
};

/** What a command gets to work with. */
export interface CommandContext<O extends OptionDeclarations = OptionDeclarations> {
  readonly options: OptionValues<O>;
  /** The arguments that are not options, after the verb; as many as `positionals` of the command allows. */
  readonly positionals: readonly string[];
  /** Whether `--json` was given: print one JSON value (or one a line) instead of words. Only where `printsData` is set. */
  readonly json: boolean;
  /** Where the configuration comes from, for commands about the configuration itself. */
  readonly configSource: LoadOptions;
  /** The configuration: the file of `--config` (or the defaults of `npm start` without one) and the environment. */
  readonly loadConfig: () => Promise<Config>;
  /** Writes a line to standard output: data. */
  readonly print: (line: string) => void;
  /** Writes a line to standard error: words for people. */
  readonly say: (line: string) => void;
  /** Fires on the first SIGINT or SIGTERM; a second one ends the process at once. */
  readonly signal: AbortSignal;
}

export interface Command<O extends OptionDeclarations = OptionDeclarations> {
  /** The verb, of one word or two: `verify`, `users add`. */
  readonly name: string;
  /** One line for the list of commands, without a full stop. */
  readonly summary: string;
  /** What follows the verb on the usage line, without the options: `EVENT_ID`, `check FILE`, or nothing. */
  readonly usage: string;
  /** Paragraphs for `stele help VERB`, below the usage line. */
  readonly description?: string;
  /** Command lines for the end of the help, without the leading `stele`: what an operator would type first. */
  readonly examples?: readonly string[];
  /** Beside these, every command has `--help`; `--config FILE` unless `usesConfig` is false; `--json` if `printsData`. */
  readonly options: O;
  /** How many arguments that are not options; default none. */
  readonly positionals?: { readonly min: number; readonly max: number };
  readonly usesConfig?: boolean;
  /** Whether there is data on standard output; `json` where that is JSON in any case, so that `--json` changes nothing. */
  readonly printsData?: boolean | 'json';
  /** Resolves with the exit status. A {@link UsageError} becomes status 2, any other error its message and status 1. */
  run(context: CommandContext<O>): Promise<ExitStatus>;
}

/** The command line makes no sense; the message says why in a sentence. Help is offered below it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Declares a command; only there for the types of its options. */
export function defineCommand<const O extends OptionDeclarations>(command: Command<O>): Command<O> {
  return command;
}
